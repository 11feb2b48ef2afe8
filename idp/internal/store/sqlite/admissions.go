package sqlite

import (
	"context"
	"errors"
	"time"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

// touchInterval is how long LastAuthAt and LastUsedAt may lag behind.
const touchInterval = time.Minute

type admissions struct{ *transaction }

// standing is what admissions by one client id are judged against; only this
// transaction can change it, so a batch reads it once per client.
type standing struct {
	credential    idp.Credential // ID, AgentID, Status, Method, SecretSetAt, ExpiresAt, LastUsedAt
	agentStatus   idp.Status
	lastAuthAt    *time.Time // shared by the credentials of one agent
	gate          store.GateVersion
	organization  string // the agent's
	maxAge        time.Duration
	unknownClient bool
}

// tally is what one agent has used in one month.
type tally struct {
	before, admitted int64
	organization     string // the agent's
}

type usageKey struct {
	agentID string
	month   int64
}

// batch is the state of one Admit call.
type batch struct {
	admissions
	clients map[string]*standing
	auth    map[string]*time.Time // LastAuthAt by agent
	usage   map[usageKey]*tally
	keys    map[string]bool // by id: whether it may sign
}

// Admit reads each client and each quota of the batch once and writes each
// counter once, whatever the number of admissions.
func (t admissions) Admit(ctx context.Context, asked []store.Admission) ([]store.AdmissionResult, error) {
	if err := t.writable(); err != nil {
		return nil, err
	}
	b := batch{t, make(map[string]*standing), make(map[string]*time.Time), make(map[usageKey]*tally), make(map[string]bool)}
	results := make([]store.AdmissionResult, len(asked))
	for i := range asked {
		var err error
		if results[i], err = b.admit(ctx, &asked[i]); err != nil {
			return nil, err
		}
	}
	return results, b.count(ctx)
}

func (b *batch) admit(ctx context.Context, a *store.Admission) (store.AdmissionResult, error) {
	client, err := b.client(ctx, a.ClientID)
	if err != nil {
		return "", err
	}
	if !client.admits(a) {
		return store.GateChanged, nil
	}
	if signs, err := b.signs(ctx, a.KeyID); err != nil || !signs {
		return store.KeyChanged, err
	}
	used, err := b.used(ctx, client, month(a.At))
	if err != nil {
		return "", err
	}
	if a.MonthlyLimit > 0 && used.before+used.admitted >= int64(a.MonthlyLimit) {
		return store.QuotaExceeded, nil
	}
	if fresh, err := b.spend(ctx, a); err != nil || !fresh {
		return store.Replayed, err
	}
	used.admitted++
	return store.Admitted, b.stamp(ctx, client, idp.Time(a.At))
}

// admits reports whether nothing moved since the gate was read.
func (s *standing) admits(a *store.Admission) bool {
	return !s.unknownClient && s.credential.AgentID == a.AgentID && s.gate == a.Gate &&
		s.credential.Usable(a.At, s.maxAge) && s.agentStatus == idp.Active
}

const admissionStanding = `
SELECT c.id, c.agent_id, c.status, c.method, c.secret_set_at, c.expires_at, c.last_used_at, a.status, a.last_auth_at,
    o.epoch, a.epoch, c.epoch, o.revision, a.revision, c.version, o.id, o.max_credential_age
FROM credentials AS c
JOIN agents AS a ON a.id = c.agent_id
JOIN organizations AS o ON o.id = a.organization_id
WHERE c.client_id = ?1`

func (b *batch) client(ctx context.Context, clientID string) (*standing, error) {
	if known, found := b.clients[clientID]; found {
		return known, nil
	}
	client, err := get(ctx, b.transaction, admissionStanding, scanStanding, clientID)
	if errors.Is(err, idp.ErrNotFound) {
		client, err = &standing{unknownClient: true}, nil
	}
	if err != nil {
		return nil, err
	}
	if shared, found := b.auth[client.credential.AgentID]; found {
		client.lastAuthAt = shared
	} else {
		b.auth[client.credential.AgentID] = client.lastAuthAt
	}
	b.clients[clientID] = client
	return client, nil
}

func scanStanding(r row) (*standing, error) {
	s := &standing{lastAuthAt: new(time.Time)}
	c := &s.credential
	err := r.Scan(&c.ID, &c.AgentID, &c.Status, &c.Method, moment{&c.SecretSetAt}, moment{&c.ExpiresAt}, moment{&c.LastUsedAt}, &s.agentStatus,
		moment{s.lastAuthAt}, &s.gate.Rev.Organization, &s.gate.Rev.Agent, &s.gate.Rev.Credential,
		&s.gate.Organization, &s.gate.Agent, &s.gate.Credential, &s.organization, seconds{&s.maxAge})
	return s, err
}

const admissionKey = `
SELECT count(*) FROM keys
WHERE id = ?1 AND use = 'token' AND status = 'active'
    AND NOT EXISTS (SELECT 1 FROM revocations WHERE type = 'kid' AND revocations.id = ?1)`

func (b *batch) signs(ctx context.Context, keyID string) (bool, error) {
	known, found := b.keys[keyID]
	if !found {
		n, err := b.number(ctx, admissionKey, keyID)
		if err != nil {
			return false, err
		}
		known = n > 0
		b.keys[keyID] = known
	}
	return known, nil
}

func (b *batch) used(ctx context.Context, client *standing, month int64) (*tally, error) {
	key := usageKey{client.credential.AgentID, month}
	if known, found := b.usage[key]; found {
		return known, nil
	}
	before, err := b.number(ctx, agentTokensUsed, key.agentID, key.month)
	if err != nil {
		return nil, err
	}
	used := &tally{before: before, organization: client.organization}
	b.usage[key] = used
	return used, nil
}

const admissionSpend = `
INSERT INTO assertions (client_id, jti, expires_at) VALUES (?1, ?2, ?3)
ON CONFLICT DO NOTHING`

// spend uses an assertion up; false when that was done before.
func (b *batch) spend(ctx context.Context, a *store.Admission) (fresh bool, err error) {
	if a.Assertion.JTI == "" {
		return true, nil
	}
	inserted, err := b.exec(ctx, admissionSpend, a.ClientID, a.Assertion.JTI, a.Assertion.Expires.UnixMilli())
	return inserted == 1, err
}

const admissionTouchAgent = `UPDATE agents SET last_auth_at = ?2 WHERE id = ?1`

const admissionTouchCredential = `UPDATE credentials SET last_used_at = ?2 WHERE id = ?1`

func (b *batch) stamp(ctx context.Context, client *standing, at time.Time) error {
	if at.Sub(*client.lastAuthAt) >= touchInterval {
		*client.lastAuthAt = at
		if _, err := b.exec(ctx, admissionTouchAgent, client.credential.AgentID, at.UnixMilli()); err != nil {
			return err
		}
	}
	if at.Sub(client.credential.LastUsedAt) < touchInterval {
		return nil
	}
	client.credential.LastUsedAt = at
	_, err := b.exec(ctx, admissionTouchCredential, client.credential.ID, at.UnixMilli())
	return err
}

const admissionCount = `
INSERT INTO token_usage (agent_id, month, tokens, organization_id, rank)
VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (agent_id, month) DO UPDATE SET tokens = tokens + excluded.tokens`

// SQLite writes an index whenever a column of it is set, to whatever.
const admissionRank = `UPDATE token_usage SET rank = ?3 WHERE agent_id = ?1 AND month = ?2`

func (b *batch) count(ctx context.Context) error {
	for key, used := range b.usage {
		if used.admitted == 0 {
			continue
		}
		rank := store.UsageRank(used.before + used.admitted)
		if _, err := b.exec(ctx, admissionCount, key.agentID, key.month, used.admitted, used.organization, rank); err != nil {
			return err
		}
		if used.before == 0 || rank == store.UsageRank(used.before) {
			continue
		}
		if _, err := b.exec(ctx, admissionRank, key.agentID, key.month, rank); err != nil {
			return err
		}
	}
	return nil
}
