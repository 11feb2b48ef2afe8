package postgres

import (
	"context"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

type organizations struct{ *transaction }

// organizationFields are the destinations of an organization's columns, in the order of every SELECT here.
func organizationFields(o *idp.Organization) []any {
	return []any{&o.ID, &o.Name, &o.Plan, seconds{&o.MaxCredentialAge}, moment{&o.CreatedAt}, moment{&o.UpdatedAt}, &o.Epoch, &o.Revision}
}

func scanOrganization(r row) (o idp.Organization, err error) {
	err = r.Scan(organizationFields(&o)...)
	return o, err
}

const organizationGet = `
SELECT id, name, plan, max_credential_age, created_at, updated_at, epoch, revision
FROM organizations
WHERE id = $1`

func (t organizations) Get(ctx context.Context, id string) (idp.Organization, error) {
	return get(ctx, t.transaction, organizationGet, scanOrganization, id)
}

const organizationPage = `
SELECT id, name, plan, max_credential_age, created_at, updated_at, epoch, revision
FROM organizations
ORDER BY created_at DESC, id
LIMIT $1 OFFSET $2`

const organizationCount = `SELECT count(*) FROM organizations`

func (t organizations) List(ctx context.Context, page store.Page) ([]idp.Organization, int, error) {
	total, err := t.number(ctx, organizationCount)
	if err != nil {
		return nil, 0, err
	}
	found, err := list(ctx, t.transaction, organizationPage, scanOrganization, page.Limit, page.Offset())
	return found, int(total), err
}

const organizationInsert = `
INSERT INTO organizations (id, name, plan, max_credential_age, created_at, updated_at, epoch, revision)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`

func (t organizations) Insert(ctx context.Context, o idp.Organization) error {
	_, err := t.exec(ctx, organizationInsert,
		o.ID, o.Name, o.Plan, wholeSeconds(o.MaxCredentialAge), o.CreatedAt.UnixMilli(), o.UpdatedAt.UnixMilli(), o.Epoch, o.Revision)
	return err
}

const organizationUpdate = `
UPDATE organizations
SET name = $3, plan = $4, max_credential_age = $5, updated_at = $6, revision = revision + 1
WHERE id = $1 AND revision = $2`

const organizationExists = `SELECT 1 FROM organizations WHERE id = $1`

func (t organizations) Update(ctx context.Context, o idp.Organization) error {
	return t.swap(ctx, organizationUpdate,
		[]any{o.ID, o.Revision, o.Name, o.Plan, wholeSeconds(o.MaxCredentialAge), o.UpdatedAt.UnixMilli()}, organizationExists, o.ID)
}

const organizationRaiseEpoch = `UPDATE organizations SET epoch = epoch + 1 WHERE id = $1 RETURNING epoch`

func (t organizations) RaiseEpoch(ctx context.Context, id string) (int64, error) {
	return t.change(ctx, organizationRaiseEpoch, id)
}

const organizationRaiseEpochs = `UPDATE organizations SET epoch = epoch + $1`

func (t organizations) RaiseEpochs(ctx context.Context, by int64) error {
	return t.whole(func() error {
		_, err := t.exec(ctx, organizationRaiseEpochs, by)
		return err
	})
}
