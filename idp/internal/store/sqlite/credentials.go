package sqlite

import (
	"context"
	"time"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

type credentials struct{ *transaction }

// credentialFields are the destinations of a credential's columns, in the order of every SELECT here.
func credentialFields(c *idp.Credential) []any {
	return []any{
		&c.ID, &c.ClientID, &c.AgentID, &c.OrganizationID, &c.Status, &c.Method, &c.Secret.Scheme, &c.Secret.Encoded,
		&c.Previous.Scheme, &c.Previous.Encoded, moment{&c.PreviousUntil}, &c.Version, &c.Epoch,
		moment{&c.CreatedAt}, moment{&c.SecretSetAt}, moment{&c.ExpiresAt}, moment{&c.WarnedFor}, moment{&c.RevokedAt}, moment{&c.LastUsedAt},
	}
}

func scanCredential(r row) (c idp.Credential, err error) {
	err = r.Scan(credentialFields(&c)...)
	return c, err
}

const credentialGet = `
SELECT id, client_id, agent_id, organization_id, status, method, secret_scheme, secret_encoded,
    previous_scheme, previous_encoded, previous_until, version, epoch,
    created_at, secret_set_at, expires_at, warned_for, revoked_at, last_used_at
FROM credentials
WHERE id = ?2 AND agent_id = ?1`

func (t credentials) Get(ctx context.Context, agentID, id string) (idp.Credential, error) {
	return get(ctx, t.transaction, credentialGet, scanCredential, agentID, id)
}

const credentialClientID = `SELECT client_id FROM credentials WHERE id = ?1`

func (t credentials) ClientID(ctx context.Context, id string) (string, error) {
	return get(ctx, t.transaction, credentialClientID, scanText, id)
}

const credentialPage = `
SELECT id, client_id, agent_id, organization_id, status, method, secret_scheme, secret_encoded,
    previous_scheme, previous_encoded, previous_until, version, epoch,
    created_at, secret_set_at, expires_at, warned_for, revoked_at, last_used_at
FROM credentials
WHERE agent_id = ?1
ORDER BY created_at DESC, id
LIMIT ?2 OFFSET ?3`

const credentialCount = `SELECT count(*) FROM credentials WHERE agent_id = ?1`

func (t credentials) List(ctx context.Context, agentID string, page store.Page) ([]idp.Credential, int, error) {
	total, err := t.number(ctx, credentialCount, agentID)
	if err != nil {
		return nil, 0, err
	}
	found, err := list(ctx, t.transaction, credentialPage, scanCredential, agentID, page.Limit, page.Offset())
	return found, int(total), err
}

const credentialLive = `
SELECT id, client_id, agent_id, organization_id, status, method, secret_scheme, secret_encoded,
    previous_scheme, previous_encoded, previous_until, version, epoch,
    created_at, secret_set_at, expires_at, warned_for, revoked_at, last_used_at
FROM credentials
WHERE agent_id = ?1 AND status = 'active'
ORDER BY created_at DESC, id`

func (t credentials) Live(ctx context.Context, agentID string) ([]idp.Credential, error) {
	return list(ctx, t.transaction, credentialLive, scanCredential, agentID)
}

const credentialInsert = `
INSERT INTO credentials (id, client_id, agent_id, organization_id, status, method, secret_scheme, secret_encoded,
    previous_scheme, previous_encoded, previous_until, version, epoch,
    created_at, secret_set_at, expires_at, warned_for, revoked_at, last_used_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)`

func (t credentials) Insert(ctx context.Context, c idp.Credential) error {
	_, err := t.exec(ctx, credentialInsert,
		c.ID, c.ClientID, c.AgentID, c.OrganizationID, c.Status, c.Method, c.Secret.Scheme, c.Secret.Encoded,
		c.Previous.Scheme, c.Previous.Encoded, optional(c.PreviousUntil), c.Version, c.Epoch,
		c.CreatedAt.UnixMilli(), c.SecretSetAt.UnixMilli(), optional(c.ExpiresAt), optional(c.WarnedFor), optional(c.RevokedAt), optional(c.LastUsedAt))
	return err
}

const credentialUpdate = `
UPDATE credentials
SET status = ?3, secret_scheme = ?4, secret_encoded = ?5, previous_scheme = ?6, previous_encoded = ?7,
    previous_until = ?8, epoch = ?9, secret_set_at = ?10, expires_at = ?11, revoked_at = ?12, version = version + 1
WHERE id = ?1 AND version = ?2`

const credentialExists = `SELECT 1 FROM credentials WHERE id = ?1`

func (t credentials) Update(ctx context.Context, c idp.Credential) error {
	return t.swap(ctx, credentialUpdate, []any{
		c.ID, c.Version, c.Status, c.Secret.Scheme, c.Secret.Encoded, c.Previous.Scheme, c.Previous.Encoded,
		optional(c.PreviousUntil), c.Epoch, c.SecretSetAt.UnixMilli(), optional(c.ExpiresAt), optional(c.RevokedAt),
	}, credentialExists, c.ID)
}

const credentialGate = `
SELECT c.id, c.client_id, c.agent_id, c.organization_id, c.status, c.method, c.secret_scheme, c.secret_encoded,
    c.previous_scheme, c.previous_encoded, c.previous_until, c.version, c.epoch,
    c.created_at, c.secret_set_at, c.expires_at, c.warned_for, c.revoked_at, c.last_used_at,
    a.id, a.organization_id, a.email, a.agent_type, a.version, a.capabilities, a.owner, a.environment,
    a.status, a.metadata, a.jwks, a.jwks_uri, a.created_at, a.updated_at, a.last_auth_at, a.epoch, a.revision,
    o.id, o.name, o.plan, o.max_credential_age, o.created_at, o.updated_at, o.epoch, o.revision
FROM credentials AS c
JOIN agents AS a ON a.id = c.agent_id
JOIN organizations AS o ON o.id = a.organization_id
WHERE c.client_id = ?1`

func (t credentials) Gate(ctx context.Context, clientID string) (store.Gate, error) {
	return get(ctx, t.transaction, credentialGate, scanGate, clientID)
}

func scanGate(r row) (g store.Gate, err error) {
	fields := append(credentialFields(&g.Credential), agentFields(&g.Agent)...)
	err = r.Scan(append(fields, organizationFields(&g.Organization)...)...)
	return g, err
}

// Either index narrows its half; an end that lies outside is dropped at the edge.
const credentialExpiring = `
WITH near AS (
    SELECT id FROM credentials
    WHERE status = 'active' AND expires_at IS NOT NULL AND expires_at >= ?1 AND expires_at < ?2
    UNION
    SELECT c.id FROM organizations AS o
    JOIN credentials AS c ON c.organization_id = o.id AND c.status = 'active' AND c.method = 'client_secret'
        AND c.secret_set_at >= ?1 - o.max_credential_age * 1000 AND c.secret_set_at < ?2 - o.max_credential_age * 1000
    WHERE o.max_credential_age > 0
), ends AS (
    SELECT c.id AS id, CASE
        WHEN o.max_credential_age = 0 OR c.method <> 'client_secret' THEN c.expires_at
        ELSE min(coalesce(c.expires_at, 9223372036854775807), c.secret_set_at + o.max_credential_age * 1000)
    END AS ends_at
    FROM near
    JOIN credentials AS c ON c.id = near.id
    JOIN agents AS a ON a.id = c.agent_id AND a.status = 'active'
    JOIN organizations AS o ON o.id = c.organization_id
)
SELECT c.id, c.client_id, c.agent_id, c.organization_id, c.status, c.method, c.secret_scheme, c.secret_encoded,
    c.previous_scheme, c.previous_encoded, c.previous_until, c.version, c.epoch,
    c.created_at, c.secret_set_at, c.expires_at, c.warned_for, c.revoked_at, c.last_used_at, ends_at
FROM ends
JOIN credentials AS c ON c.id = ends.id
WHERE ends_at >= ?1 AND ends_at < ?2 AND c.warned_for IS NOT ends_at
ORDER BY ends_at, c.id
LIMIT ?3`

func (t credentials) Expiring(ctx context.Context, from, to time.Time, limit int) ([]store.Expiring, error) {
	return list(ctx, t.transaction, credentialExpiring, scanExpiring, from.UnixMilli(), to.UnixMilli(), limit)
}

func scanExpiring(r row) (e store.Expiring, err error) {
	err = r.Scan(append(credentialFields(&e.Credential), moment{&e.End})...)
	return e, err
}

const credentialWarned = `UPDATE credentials SET warned_for = ?2 WHERE id = ?1`

func (t credentials) Warned(ctx context.Context, id string, end time.Time) error {
	return t.touch(ctx, credentialWarned, id, end.UnixMilli())
}

const credentialCountExpiring = `
WITH near AS (
    SELECT id FROM credentials
    WHERE status = 'active' AND expires_at IS NOT NULL AND expires_at >= ?1 AND expires_at < ?2
    UNION
    SELECT c.id FROM organizations AS o
    JOIN credentials AS c ON c.organization_id = o.id AND c.status = 'active' AND c.method = 'client_secret'
        AND c.secret_set_at >= ?1 - o.max_credential_age * 1000 AND c.secret_set_at < ?2 - o.max_credential_age * 1000
    WHERE o.max_credential_age > 0
)
SELECT count(*)
FROM near
JOIN credentials AS c ON c.id = near.id
JOIN agents AS a ON a.id = c.agent_id AND a.status = 'active'
JOIN organizations AS o ON o.id = c.organization_id
WHERE CASE
        WHEN o.max_credential_age = 0 OR c.method <> 'client_secret' THEN c.expires_at
        ELSE min(coalesce(c.expires_at, 9223372036854775807), c.secret_set_at + o.max_credential_age * 1000)
    END BETWEEN ?1 AND ?2 - 1`

func (t credentials) CountExpiring(ctx context.Context, from, to time.Time) (int, error) {
	count, err := t.number(ctx, credentialCountExpiring, from.UnixMilli(), to.UnixMilli())
	return int(count), err
}
