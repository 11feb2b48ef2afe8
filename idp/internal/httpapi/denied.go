package httpapi

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

const (
	deniedLookedAt = 1000 // events
	deniedShown    = 10   // of each ranking
)

type deniedCapability struct {
	Capability string `json:"capability"`
	Count      int64  `json:"count"`
}

type deniedAgent struct {
	AgentID string `json:"agentId"`
	Count   int64  `json:"count"`
}

// topDeniedView ranks the newest denials of the window: ranking all of them
// would take as long as there are many.
type topDeniedView struct {
	Since        string             `json:"since"`
	Complete     bool               `json:"complete"`
	Denials      int64              `json:"denials"`
	Capabilities []deniedCapability `json:"capabilities"`
	Agents       []deniedAgent      `json:"agents"`
}

// latestDenials are the newest of the window that are looked at.
func latestDenials(ctx context.Context, tx *store.Tx, organization string, from, to time.Time) ([]store.EventRow, error) {
	return tx.Events.List(ctx, store.EventFilter{
		OrganizationID: organization, Action: idp.ActionDecisionDenied, From: from, To: to, Limit: deniedLookedAt,
	})
}

// viewTopDenied counts an event that stands for several as so many.
func viewTopDenied(w statsWindow, rows []store.EventRow) (topDeniedView, error) {
	view := topDeniedView{Since: stamp(w.from), Complete: len(rows) < deniedLookedAt, Capabilities: []deniedCapability{}, Agents: []deniedAgent{}}
	if !view.Complete {
		view.Since = stamp(rows[len(rows)-1].Timestamp)
	}
	byCapability, byAgent := map[string]int64{}, map[string]int64{}
	for _, row := range rows {
		var event struct {
			Metadata struct {
				Capability string `json:"capability"`
			} `json:"metadata"`
		}
		if err := json.Unmarshal(row.Body, &event); err != nil {
			return view, fmt.Errorf("event %d: %w", row.Sequence, err)
		}
		n := store.Occurrences(row.Body)
		view.Denials += n
		if event.Metadata.Capability != "" {
			byCapability[event.Metadata.Capability] += n
		}
		if row.AgentID != "" {
			byAgent[row.AgentID] += n
		}
	}
	for _, name := range ranked(byCapability) {
		view.Capabilities = append(view.Capabilities, deniedCapability{name, byCapability[name]})
	}
	for _, id := range ranked(byAgent) {
		view.Agents = append(view.Agents, deniedAgent{id, byAgent[id]})
	}
	return view, nil
}

// ranked names those with the highest counts, ties by name.
func ranked(counts map[string]int64) []string {
	names := make([]string, 0, len(counts))
	for name := range counts {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b)) })
	return names[:min(len(names), deniedShown)]
}
