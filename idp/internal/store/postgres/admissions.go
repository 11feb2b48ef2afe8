package postgres

import (
	"context"
	"time"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

// touchInterval is how long LastAuthAt and LastUsedAt may lag behind.
const touchInterval = time.Minute

type admissions struct{ *transaction }

// question is what a batch has to know, once for all admissions that ask the same.
type question struct {
	clientID string
	month    int64
	keyID    string
	jti      string // '' without an assertion
}

// standing answers a question. Only this transaction can change it.
type standing struct {
	question
	credential   idp.Credential // ID, AgentID, Status, Method, SecretSetAt, ExpiresAt, LastUsedAt
	agentStatus  idp.Status
	lastAuthAt   time.Time
	gate         store.GateVersion
	organization string // the agent's
	maxAge       time.Duration
	tokens       int64 // of the agent in the month
	signs        bool  // the key may sign
	replays      bool  // the client used the assertion before
}

type usageKey struct {
	agentID string
	month   int64
}

// batch is the state of one Admit call. Clients of one agent, and months, share rows.
type batch struct {
	standings map[question]*standing
	usage     map[usageKey]int64   // with what this batch admitted
	admitted  map[usageKey]int64   // by this batch
	homes     map[string]string    // organization by agent id
	spent     map[question]int64   // by this batch: when an assertion expires, in Unix milliseconds
	auth      map[string]time.Time // LastAuthAt by agent id
	used      map[string]time.Time // LastUsedAt by credential id
	authMoved map[string]bool
	usedMoved map[string]bool
}

// Admit reads all it needs in one statement and writes all in another.
func (t admissions) Admit(ctx context.Context, asked []store.Admission) ([]store.AdmissionResult, error) {
	if err := t.writable(); err != nil {
		return nil, err
	}
	if len(asked) == 0 {
		return nil, nil
	}
	b, err := t.read(ctx, asked)
	if err != nil {
		return nil, err
	}
	results := make([]store.AdmissionResult, len(asked))
	for i := range asked {
		results[i] = b.admit(&asked[i])
	}
	return results, t.write(ctx, b)
}

func asks(a *store.Admission) question {
	return question{a.ClientID, month(a.At), a.KeyID, a.Assertion.JTI}
}

const admissionStandings = `
SELECT q.client_id, q.month, q.key_id, q.jti,
    c.id, c.agent_id, c.status, c.method, c.secret_set_at, c.expires_at, c.last_used_at, a.status, a.last_auth_at,
    o.epoch, a.epoch, c.epoch, o.revision, a.revision, c.version, o.id, o.max_credential_age, coalesce(u.tokens, 0),
    EXISTS (SELECT 1 FROM keys AS k WHERE k.id = q.key_id AND k.use = 'token' AND k.status = 'active')
        AND NOT EXISTS (SELECT 1 FROM revocations AS r WHERE r.type = 'kid' AND r.id = q.key_id),
    EXISTS (SELECT 1 FROM assertions AS x WHERE x.client_id = q.client_id AND x.jti = q.jti AND q.jti <> '')
FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[]) AS q (client_id, month, key_id, jti)
JOIN credentials AS c ON c.client_id = q.client_id
JOIN agents AS a ON a.id = c.agent_id
JOIN organizations AS o ON o.id = a.organization_id
LEFT JOIN token_usage AS u ON u.agent_id = c.agent_id AND u.month = q.month`

func (t admissions) read(ctx context.Context, asked []store.Admission) (*batch, error) {
	b := &batch{
		standings: make(map[question]*standing), usage: make(map[usageKey]int64), admitted: make(map[usageKey]int64),
		homes: make(map[string]string), spent: make(map[question]int64),
		auth: make(map[string]time.Time), used: make(map[string]time.Time),
		authMoved: make(map[string]bool), usedMoved: make(map[string]bool),
	}
	var clients, keys, jtis []string
	var months []int64
	for i := range asked {
		q := asks(&asked[i])
		if _, known := b.standings[q]; known {
			continue
		}
		b.standings[q] = nil // stays so for a client that does not exist
		clients, months = append(clients, q.clientID), append(months, q.month)
		keys, jtis = append(keys, q.keyID), append(jtis, q.jti)
	}
	found, err := list(ctx, t.transaction, admissionStandings, scanStanding, clients, months, keys, jtis)
	for _, s := range found {
		b.standings[s.question] = s
		b.usage[usageKey{s.credential.AgentID, s.month}] = s.tokens
		b.homes[s.credential.AgentID] = s.organization
		b.auth[s.credential.AgentID] = s.lastAuthAt
		b.used[s.credential.ID] = s.credential.LastUsedAt
	}
	return b, err
}

func scanStanding(r row) (*standing, error) {
	s := &standing{}
	c := &s.credential
	err := r.Scan(&s.clientID, &s.month, &s.keyID, &s.jti,
		&c.ID, &c.AgentID, &c.Status, &c.Method, moment{&c.SecretSetAt}, moment{&c.ExpiresAt}, moment{&c.LastUsedAt},
		&s.agentStatus, moment{&s.lastAuthAt}, &s.gate.Rev.Organization, &s.gate.Rev.Agent, &s.gate.Rev.Credential,
		&s.gate.Organization, &s.gate.Agent, &s.gate.Credential, &s.organization, seconds{&s.maxAge}, &s.tokens, &s.signs, &s.replays)
	return s, err
}

func (b *batch) admit(a *store.Admission) store.AdmissionResult {
	s := b.standings[asks(a)]
	if s == nil || !s.admits(a) {
		return store.GateChanged
	}
	if !s.signs {
		return store.KeyChanged
	}
	month := usageKey{a.AgentID, s.month}
	if a.MonthlyLimit > 0 && b.usage[month] >= int64(a.MonthlyLimit) {
		return store.QuotaExceeded
	}
	if !b.spend(a) {
		return store.Replayed
	}
	b.usage[month]++
	b.admitted[month]++
	at := idp.Time(a.At)
	if at.Sub(b.auth[a.AgentID]) >= touchInterval {
		b.auth[a.AgentID], b.authMoved[a.AgentID] = at, true
	}
	if at.Sub(b.used[s.credential.ID]) >= touchInterval {
		b.used[s.credential.ID], b.usedMoved[s.credential.ID] = at, true
	}
	return store.Admitted
}

// spend uses the assertion up; false when that was done before.
func (b *batch) spend(a *store.Admission) bool {
	if a.Assertion.JTI == "" {
		return true
	}
	use := question{clientID: a.ClientID, jti: a.Assertion.JTI}
	if _, again := b.spent[use]; again || b.standings[asks(a)].replays {
		return false
	}
	b.spent[use] = a.Assertion.Expires.UnixMilli()
	return true
}

// admits reports whether nothing moved since the gate was read.
func (s *standing) admits(a *store.Admission) bool {
	return s.credential.AgentID == a.AgentID && s.gate == a.Gate && s.credential.Usable(a.At, s.maxAge) && s.agentStatus == idp.Active
}

const admissionCount = `
WITH moved_agents AS (
    UPDATE agents SET last_auth_at = m.at FROM unnest($4::text[], $5::bigint[]) AS m (id, at) WHERE agents.id = m.id
), moved_credentials AS (
    UPDATE credentials SET last_used_at = m.at FROM unnest($6::text[], $7::bigint[]) AS m (id, at) WHERE credentials.id = m.id
), spent AS (
    INSERT INTO assertions (client_id, jti, expires_at)
    SELECT client_id, jti, expires_at FROM unnest($8::text[], $9::text[], $10::bigint[]) AS s (client_id, jti, expires_at)
)
INSERT INTO token_usage AS u (agent_id, month, tokens, organization_id, rank)
SELECT agent_id, month, tokens, organization_id, rank
FROM unnest($1::text[], $2::bigint[], $3::bigint[], $11::text[], $12::bigint[]) AS n (agent_id, month, tokens, organization_id, rank)
ON CONFLICT (agent_id, month) DO UPDATE SET tokens = u.tokens + excluded.tokens, organization_id = excluded.organization_id, rank = excluded.rank`

func (t admissions) write(ctx context.Context, b *batch) error {
	if len(b.admitted) == 0 {
		return nil
	}
	agents, months, tokens, homes, ranks := []string{}, []int64{}, []int64{}, []string{}, []int64{}
	for key, n := range b.admitted {
		agents, months, tokens = append(agents, key.agentID), append(months, key.month), append(tokens, n)
		homes, ranks = append(homes, b.homes[key.agentID]), append(ranks, store.UsageRank(b.usage[key]))
	}
	authIDs, authTimes := moves(b.authMoved, b.auth)
	usedIDs, usedTimes := moves(b.usedMoved, b.used)
	clients, jtis, ends := []string{}, []string{}, []int64{}
	for use, end := range b.spent {
		clients, jtis, ends = append(clients, use.clientID), append(jtis, use.jti), append(ends, end)
	}
	_, err := t.exec(ctx, admissionCount, agents, months, tokens, authIDs, authTimes, usedIDs, usedTimes, clients, jtis, ends, homes, ranks)
	return err
}

// moves are the rows to write, as columns.
func moves(moved map[string]bool, times map[string]time.Time) (ids []string, at []int64) {
	ids, at = []string{}, []int64{}
	for id := range moved {
		ids, at = append(ids, id), append(at, times[id].UnixMilli())
	}
	return ids, at
}
