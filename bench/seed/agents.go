package seed

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Agents are what Store.Agents writes.
type Agents struct {
	Count        int64
	Organization string   // is made, on plan custom, unless it is there
	Capabilities []string // of each
	Pepper       string   // the IdP's setting, with one version
	Now          time.Time
	Progress     Progress
	// Varied gives them 50 owners and one with a single agent, three environments,
	// some routers, and statuses: the newest half is decommissioned, the oldest
	// thousandth suspended. Else all are alike and active.
	Varied bool
}

type organization struct {
	id, plan string
	at       int64 // Unix milliseconds
}

type agent struct {
	Client
	organization, email string
	state
	capabilities []string // sorted
	encoded      string   // the secret, as it rests
	at           int64    // Unix milliseconds
}

type state struct{ owner, environment, status, kind string }

func (a *Agents) state(n int64) state {
	s := state{"bench", "production", "active", "custom"}
	if !a.Varied {
		return s
	}
	s.owner, s.environment = fmt.Sprintf("team-%d", n%50), []string{"development", "staging", "production"}[n/50%3]
	switch {
	case n == a.Count/3:
		s.owner = "alone"
	case n < a.Count/1000:
		s.status = "suspended"
	case n >= a.Count/2:
		s.status = "decommissioned"
	case n%1000 == 7:
		s.kind = "router"
	}
	return s
}

// scope is the agent's capabilities as the column has them.
func (a *agent) scope() string { return strings.Join(a.capabilities, " ") }

// Agents writes ClientAt(0) to ClientAt(Count-1), active, each with one active
// credential, created in turn within the last month. None of them may be there.
func (s *Store) Agents(ctx context.Context, a Agents) error {
	h, err := newHasher(a.Pepper)
	if err != nil {
		return err
	}
	capabilities := slices.Sorted(slices.Values(a.Capabilities))
	first := a.Now.AddDate(0, -1, 0).UnixMilli()
	if err := s.organizations(ctx, []organization{{id: a.Organization, plan: "custom", at: first}}); err != nil {
		return fmt.Errorf("seed organization: %w", err)
	}
	err = s.batches(ctx, a.Count, a.Progress, func(from, to int64) error {
		batch := make([]agent, 0, to-from)
		for n := from; n < to; n++ {
			c := ClientAt(n)
			batch = append(batch, agent{
				Client: c, organization: a.Organization, email: fmt.Sprintf("seed-%d@example.com", n),
				state: a.state(n), capabilities: capabilities, encoded: h.encode(c), at: first + (a.Now.UnixMilli()-first)*n/a.Count,
			})
		}
		return s.agents(ctx, batch)
	})
	if err != nil {
		return fmt.Errorf("seed agents: %w", err)
	}
	return nil
}

type revocation struct {
	id          string // a jti
	expires, at int64  // Unix milliseconds
}

// Revocations are what Store.Revocations writes.
type Revocations struct {
	Count       int64
	Now, Expire time.Time // when they are made, and when their tokens end
	Progress    Progress
}

// Revocations appends entries to the feed, each of a token that nobody has.
func (s *Store) Revocations(ctx context.Context, r Revocations) error {
	err := s.batches(ctx, r.Count, r.Progress, func(from, to int64) error {
		batch := make([]revocation, 0, to-from)
		for n := from; n < to; n++ {
			batch = append(batch, revocation{id: uuid("token", n), expires: r.Expire.UnixMilli(), at: r.Now.UnixMilli()})
		}
		return s.revocations(ctx, batch)
	})
	if err != nil {
		return fmt.Errorf("seed revocations: %w", err)
	}
	return nil
}
