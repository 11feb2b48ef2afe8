package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/sentryagent/agentidp/idp"
)

type agents struct{ *transaction }

// agentFields are the destinations of an agent's columns, in the order of every SELECT here.
func agentFields(a *idp.Agent) []any {
	return []any{
		&a.ID, &a.OrganizationID, &a.Email, &a.Type, &a.Version, held{&a.Capabilities}, &a.Owner, &a.Environment,
		&a.Status, (*[]byte)(&a.Metadata), (*[]byte)(&a.JWKS), &a.JWKSURI, moment{&a.CreatedAt}, moment{&a.UpdatedAt}, moment{&a.LastAuthAt},
		&a.Epoch, &a.Revision,
	}
}

func scanAgent(r row) (a idp.Agent, err error) {
	err = r.Scan(agentFields(&a)...)
	return a, err
}

const agentGet = `
SELECT id, organization_id, email, agent_type, version, capabilities, owner, environment,
    status, metadata, jwks, jwks_uri, created_at, updated_at, last_auth_at, epoch, revision
FROM agents
WHERE id = ?2 AND (?1 = '' OR organization_id = ?1)`

func (t agents) Get(ctx context.Context, organizationID, id string) (idp.Agent, error) {
	return get(ctx, t.transaction, agentGet, scanAgent, organizationID, id)
}

const agentInsert = `
INSERT INTO agents (id, organization_id, email, agent_type, version, capabilities, administrator, owner, environment,
    status, metadata, jwks, jwks_uri, created_at, updated_at, last_auth_at, epoch, revision)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)`

func (t agents) Insert(ctx context.Context, a idp.Agent) error {
	_, err := t.exec(ctx, agentInsert,
		a.ID, a.OrganizationID, a.Email, a.Type, a.Version, a.Capabilities.String(), a.Administrator(), a.Owner, a.Environment,
		a.Status, document(a.Metadata), document(a.JWKS), a.JWKSURI, a.CreatedAt.UnixMilli(), a.UpdatedAt.UnixMilli(), optional(a.LastAuthAt), a.Epoch, a.Revision)
	if err != nil {
		return err
	}
	return t.hold(ctx, a)
}

const agentUpdate = `
UPDATE agents
SET email = ?3, agent_type = ?4, version = ?5, capabilities = ?6, administrator = ?7, owner = ?8, environment = ?9,
    status = ?10, metadata = ?11, jwks = ?12, jwks_uri = ?13, updated_at = ?14, epoch = ?15, revision = revision + 1
WHERE id = ?1 AND revision = ?2`

const agentExists = `SELECT 1 FROM agents WHERE id = ?1`

func (t agents) Update(ctx context.Context, a idp.Agent) error {
	err := t.swap(ctx, agentUpdate, []any{
		a.ID, a.Revision, a.Email, a.Type, a.Version, a.Capabilities.String(), a.Administrator(), a.Owner, a.Environment,
		a.Status, document(a.Metadata), document(a.JWKS), a.JWKSURI, a.UpdatedAt.UnixMilli(), a.Epoch,
	}, agentExists, a.ID)
	if err != nil {
		return err
	}
	return t.hold(ctx, a)
}

// document is a JSON column's value: NULL when there is none.
func document(object json.RawMessage) any {
	if object == nil {
		return nil
	}
	return string(object)
}

const agentDropCapabilities = `
DELETE FROM agent_capabilities
WHERE agent_id = ?1 AND capability NOT IN (SELECT value FROM json_each(?2))`

const agentHoldCapabilities = `
INSERT INTO agent_capabilities (agent_id, capability)
SELECT DISTINCT ?1, value FROM json_each(?2) WHERE true
ON CONFLICT DO NOTHING`

// hold makes the capability rows those of a.
func (t agents) hold(ctx context.Context, a idp.Agent) error {
	list, err := json.Marshal(a.Capabilities.Strings())
	if err != nil {
		return fmt.Errorf("capabilities: %w", err)
	}
	if _, err := t.exec(ctx, agentDropCapabilities, a.ID, string(list)); err != nil {
		return err
	}
	_, err = t.exec(ctx, agentHoldCapabilities, a.ID, string(list))
	return err
}

const agentCountLive = `
SELECT coalesce(sum(count), 0) FROM agent_counts
WHERE organization_id = ?1 AND owner = '' AND capability = '' AND status <> 'decommissioned'`

func (t agents) CountLive(ctx context.Context, organizationID string) (int, error) {
	n, err := t.number(ctx, agentCountLive, organizationID)
	return int(n), err
}

const agentOtherAdministrators = `
SELECT CASE WHEN ?1 = ''
    THEN (SELECT count(*) FROM agents WHERE administrator = 1 AND id <> ?2)
    ELSE (SELECT count(*) FROM agents WHERE organization_id = ?1 AND administrator = 1 AND id <> ?2)
END`

func (t agents) OtherAdministrators(ctx context.Context, organizationID, exceptID string) (int, error) {
	n, err := t.number(ctx, agentOtherAdministrators, organizationID, exceptID)
	return int(n), err
}

const agentTokensUsed = `SELECT coalesce(sum(tokens), 0) FROM token_usage WHERE agent_id = ?1 AND month = ?2`

func (t agents) TokensUsed(ctx context.Context, agentID string, at time.Time) (int64, error) {
	return t.number(ctx, agentTokensUsed, agentID, month(at))
}

// month numbers UTC calendar months: January 2026 is 202601.
func month(at time.Time) int64 {
	at = at.UTC()
	return int64(at.Year())*100 + int64(at.Month())
}
