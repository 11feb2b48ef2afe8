package httpapi

import (
	"context"
	"encoding/json"
	"time"

	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/feed"
)

// sighting is a sidecar's latest poll, shared by the replicas as it is made:
// rows are written now and then only, and the cursor in them is often one behind.
type sighting struct {
	Cursor   string    `json:"c,omitempty"` // that it acknowledged; empty: it has none yet
	CursorAt time.Time `json:"a,omitzero"`  // when it first did
	SeenAt   time.Time `json:"s"`
}

func sightingKey(agentID, sidecarID string) string { return "sighting/" + agentID + "/" + sidecarID }

// sight remembers a poll.
func (a *API) sight(ctx context.Context, c *call, s sidecar, cursor string, now time.Time) sighting {
	latest, _ := a.sighted(ctx, c.agentID, s.id)
	if latest.Cursor != cursor {
		latest.Cursor, latest.CursorAt = cursor, now
		if cursor == "" {
			latest.CursorAt = time.Time{}
		}
	}
	latest.SeenAt = now
	if raw, err := json.Marshal(latest); err == nil { // it always is
		a.Sightings.Set(ctx, sightingKey(c.agentID, s.id), raw, store.ConnectedWithin)
	}
	return latest
}

func (a *API) sighted(ctx context.Context, agentID, sidecarID string) (latest sighting, known bool) {
	raw, known := a.Sightings.Get(ctx, sightingKey(agentID, sidecarID))
	if !known || json.Unmarshal(raw, &latest) != nil {
		return sighting{}, false
	}
	return latest, true
}

// refresh brings a row up to what was seen since it was written.
func (a *API) refresh(ctx context.Context, row *store.Sidecar) {
	latest, known := a.sighted(ctx, row.AgentID, row.ID)
	if !known {
		return
	}
	if latest.SeenAt.After(row.SeenAt) {
		row.SeenAt = latest.SeenAt
	}
	if latest.Cursor != "" && latest.Cursor != row.FeedCursor {
		row.FeedCursor, row.FeedCursorAt = latest.Cursor, latest.CursorAt
	}
}

// confirmed is the sequence of a cursor of this feed; nil of any other.
func (a *API) confirmed(cursor string) *int64 {
	place, err := feed.ParseCursor(cursor)
	if err != nil || place.Epoch != a.Revocation.Epoch() {
		return nil
	}
	return &place.Seq
}
