package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

const (
	seenEvery   = time.Minute      // how often an idle sidecar's presence is written down
	seenAtMost  = 10 * time.Second // how often a busy one's
	seenTimeout = 2 * time.Second
	maxSidecars = 100 // rows of one agent
	maxPresent  = 10_000
)

// seen keeps what a sidecar acknowledged and that it is there. It is no part of
// the audit log, for presence changes nobody's rights, and nothing to a poll:
// when it cannot be written, or at once, it is not.
func (a *API) seen(ctx context.Context, c *call, s sidecar, cursor string) {
	if s.id == "" {
		return
	}
	latest := a.sight(ctx, c, s, cursor, idp.Time(a.Now()))
	if !a.presence.due(sidecarKey{c.agentID, s.id}, a.Now()) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, seenTimeout)
	defer cancel()
	if err := a.writeSeen(ctx, c, s, latest); err != nil {
		a.Logger.LogAttrs(ctx, slog.LevelWarn, "a sidecar's presence was not written",
			slog.String("agent_id", c.agentID), slog.String("sidecar_id", s.id), slog.Any("error", err))
	}
}

func (a *API) writeSeen(ctx context.Context, c *call, s sidecar, latest sighting) error {
	now := idp.Time(a.Now())
	var known, changed, full bool
	fresh := func(ctx context.Context, tx *store.Tx) (row store.Sidecar, err error) {
		row, err = tx.Sidecars.Get(ctx, c.agentID, s.id)
		if known = err == nil; err != nil && !errors.Is(err, idp.ErrNotFound) {
			return row, err
		}
		before := row
		row.ID, row.AgentID, row.OrganizationID = s.id, c.agentID, c.organizationID
		row.Name, row.Version, row.PolicyRevision = s.name, s.version, s.policyRevision
		if latest.Cursor != "" && latest.Cursor != row.FeedCursor {
			row.FeedCursor, row.FeedCursorAt = latest.Cursor, latest.CursorAt
		}
		changed = row != before || now.Sub(row.SeenAt) >= seenEvery
		row.SeenAt = now
		return row, nil
	}
	err := a.DB.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		_, err := fresh(ctx, tx)
		return err
	})
	agent := sidecarKey{agent: c.agentID}
	if err != nil || !changed || !known && a.presence.recent(agent, now) {
		return err
	}
	err = a.DB.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		row, err := fresh(ctx, tx)
		if err == nil && !known {
			full, err = crowded(ctx, tx, row.OrganizationID, row.AgentID)
		}
		if err != nil || full {
			return err
		}
		return tx.Sidecars.Put(ctx, row)
	})
	if full {
		a.presence.due(agent, now)
	}
	return err
}

// crowded reports that the agent has all the rows it may have.
func crowded(ctx context.Context, tx *store.Tx, organization, agent string) (bool, error) {
	own := 0
	for page := (store.Page{Number: 1, Limit: 100}); ; page.Number++ {
		rows, total, err := tx.Sidecars.List(ctx, organization, page)
		if err != nil || total < maxSidecars {
			return false, err
		}
		for _, row := range rows {
			if row.AgentID == agent {
				own++
			}
		}
		if own >= maxSidecars || len(rows) < page.Limit {
			return own >= maxSidecars, nil
		}
	}
}

// sidecarKey is one sidecar's; without an id, the agent whose rows are all taken.
type sidecarKey struct{ agent, id string }

// presence remembers who was seen of late, in two generations, so that it
// forgets without looking through. Past maxPresent in one, nobody is due.
type presence struct {
	mu          sync.Mutex
	began       time.Time // of now
	now, before map[sidecarKey]time.Time
}

// due reports, and remembers, that seenAtMost went by since it last did.
func (p *presence) due(key sidecarKey, at time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.now == nil || at.Sub(p.began) >= seenAtMost {
		p.now, p.before, p.began = map[sidecarKey]time.Time{}, p.now, at
	}
	if p.has(key, at) || len(p.now) >= maxPresent {
		return false
	}
	p.now[key] = at
	return true
}

// recent reports that the key was due less than seenAtMost ago.
func (p *presence) recent(key sidecarKey, at time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.has(key, at)
}

// has is for those that hold mu.
func (p *presence) has(key sidecarKey, at time.Time) bool {
	for _, generation := range []map[sidecarKey]time.Time{p.now, p.before} {
		if seen, known := generation[key]; known && at.Sub(seen) < seenAtMost {
			return true
		}
	}
	return false
}
