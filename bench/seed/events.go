package seed

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"
)

// Events are what Store.Events writes.
type Events struct {
	Count         int64
	Organizations int       // that share them; 1 puts all in one
	First, Last   time.Time // between which they happened
	Progress      Progress
}

// verb is what happened, and how large its share is.
type verb struct {
	action, outcome string
	share           float64
}

// verbs are skewed as a busy installation's are: most events are tokens and
// decisions, some happen a hundred times in ten million.
var verbs = []verb{
	{"token.issued", "success", 0.55}, {"decision.allowed", "success", 0.33}, {"decision.denied", "denied", 0.05},
	{"token.refused", "denied", 0.02}, {"token.refused", "failure", 0.01}, {"request.denied", "denied", 0.01},
	{"request.unauthenticated", "denied", 0.01}, {"token.revoked", "success", 0.0085}, {"agent.created", "success", 0.004},
	{"agent.updated", "success", 0.003}, {"credential.created", "success", 0.002}, {"credential.rotated", "success", 0.001},
	{"decision.error", "failure", 0.0008}, {"agent.suspended", "success", 0.0004}, {"credential.revoked", "success", 0.0002},
	{"audit.exported", "success", 0.00005}, {"agent.decommissioned", "success", 0.00003}, {"policy.reloaded", "success", 0.00001},
	{"decision.gap", "failure", 0.00001},
}

// deeds are what is done to an agent.
var deeds = map[string]bool{
	"token.revoked": true, "agent.created": true, "agent.updated": true, "agent.suspended": true, "agent.decommissioned": true,
	"credential.created": true, "credential.rotated": true, "credential.revoked": true,
}

// event is a row of the log.
type event struct {
	sequence     int64
	organization organization
	verb
	agentID, id string
	targetID    string // the agent that it was done to, if it is a deed
	timestamp   int64  // Unix milliseconds
	body        []byte
	hashes      [][32]byte // of the tree, that this leaf completes
}

// OrganizationAt is the id of the n-th organization that seeded events share;
// the first have the most.
func OrganizationAt(n int) string { return fmt.Sprintf("%08x-0000-4000-8000-000000000000", n) }

// AgentAt is the id of the n-th agent in the events of an organization; the
// first are the busiest.
func AgentAt(organization, n int) string {
	return fmt.Sprintf("%08x-0000-4000-8000-%012x", organization, n)
}

// maker makes the events, the same ones for the same arguments on a log of the same size.
type maker struct {
	Events
	owners []organization
	random *rand.Rand
	made   int64
	grove  *grove
}

func newMaker(e Events, g *grove) *maker {
	m := &maker{Events: e, random: rand.New(rand.NewPCG(1, uint64(g.size))), grove: g}
	for i := range e.Organizations {
		plan := "free"
		if i%3 == 0 {
			plan = "custom"
		}
		m.owners = append(m.owners, organization{OrganizationAt(i), plan, e.First.UnixMilli()})
	}
	return m
}

// next makes an event.
func (m *maker) next() (event, error) {
	owner := int(math.Pow(float64(len(m.owners)), m.random.Float64())) - 1
	span := float64(m.Last.Sub(m.First).Milliseconds())
	e := event{
		sequence: m.grove.size, verb: m.pick(), organization: m.owners[owner],
		timestamp: m.First.UnixMilli() + int64(span*float64(m.made)/float64(m.Count)),
	}
	m.made++
	// The first organizations are the largest; each has a few busy agents and many that are seldom seen.
	agents := float64(20 + 20_000/(owner+1))
	e.agentID = AgentAt(owner, int(math.Pow(m.random.Float64(), 3)*agents))
	if deeds[e.action] {
		e.targetID = AgentAt(owner, m.target(agents))
	}
	e.id = fmt.Sprintf("%08x-%04x-7%03x-8%03x-%012x", e.timestamp>>16, e.timestamp&0xffff, m.random.IntN(1<<12), m.random.IntN(1<<12), m.random.Int64N(1<<48))
	e.body = m.body(&e)
	var err error
	e.hashes, err = m.grove.grow(e.body)
	return e, err
}

// target is which of an organization's agents a deed is done to. One has half of
// them and one a tenth: of ten million events in one organization 105,000 and
// 21,000. The others go from some hundreds down to none.
func (m *maker) target(agents float64) int {
	switch at := m.random.Float64(); {
	case at < 0.55:
		return 0
	case at < 0.66:
		return 1
	}
	return int(math.Pow(m.random.Float64(), 3) * agents)
}

func (m *maker) pick() verb {
	at := m.random.Float64()
	for _, v := range verbs {
		if at -= v.share; at < 0 {
			return v
		}
	}
	return verbs[0]
}

// body is as long and as hard to compress as a token's event, in the canonical
// form that the log has (RFC 8785).
func (m *maker) body(e *event) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, `{"action":%q,"agentId":%q,"eventId":%q,"ipAddress":"203.0.113.%d",`, e.action, e.agentID, e.id, m.random.IntN(256))
	fmt.Fprintf(&b, `"metadata":{"clientId":"aidp_c_%016x","credentialId":"%016x","jti":"%016x-%016x","scope":"agents:read notes:read"`,
		m.random.Uint64(), m.random.Uint64(), m.random.Uint64(), m.random.Uint64())
	if e.targetID != "" {
		fmt.Fprintf(&b, `,"targetAgentId":%q`, e.targetID)
	}
	fmt.Fprintf(&b, `},"organizationId":%q,"outcome":%q,"requestId":"%016x%016x","sequence":%d,"timestamp":%q,"userAgent":"agentidp-go/1.0"}`,
		e.organization.id, e.outcome, m.random.Uint64(), m.random.Uint64(), e.sequence,
		time.UnixMilli(e.timestamp).UTC().Format("2006-01-02T15:04:05.000Z"))
	return []byte(b.String())
}

// Events appends to the log what a busy installation would have recorded
// between First and Last.
func (s *Store) Events(ctx context.Context, e Events) error {
	size, read, err := s.tree(ctx)
	if err != nil {
		return fmt.Errorf("seed events: %w", err)
	}
	g, err := newGrove(size, read)
	if err != nil {
		return fmt.Errorf("seed events: %w", err)
	}
	m := newMaker(e, g)
	if err := s.organizations(ctx, m.owners); err != nil {
		return fmt.Errorf("seed organizations: %w", err)
	}
	if err := s.quicken(ctx); err != nil {
		return fmt.Errorf("seed events: %w", err)
	}
	err = s.batches(ctx, e.Count, e.Progress, func(from, to int64) error {
		batch := make([]event, to-from)
		for i := range batch {
			if batch[i], err = m.next(); err != nil {
				return err
			}
		}
		return s.events(ctx, batch)
	})
	if err != nil {
		return fmt.Errorf("seed events: %w", err)
	}
	return nil
}
