package auditlog_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/auditlog"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

// record commits n events at once.
func (f *fixture) record(n int, make func(i int) idp.Event) {
	f.t.Helper()
	require.NoError(f.t, f.log.Commit(f.t.Context(), func(context.Context, *store.Tx) ([]idp.Event, error) {
		events := []idp.Event{}
		for i := range n {
			events = append(events, make(i))
		}
		return events, nil
	}))
}

func TestSearch(t *testing.T) {
	f := newFixture(t)
	f.record(4, func(i int) idp.Event {
		return idp.Event{
			OrganizationID: "acme", Action: idp.ActionDecisionDenied, Outcome: idp.Denied, Reason: fmt.Sprint("reason_", i),
			Origin: idp.Origin{UserAgent: `Say "Hi" \ Ünder`},
			Metadata: map[string]any{
				"path": fmt.Sprintf("/Notes/%d", i), "status": 403, "list": []string{"deep", fmt.Sprint("item", i)}, "more": map[string]any{"x": fmt.Sprint("Nested", i)},
			},
		}
	})
	f.record(1, func(int) idp.Event {
		return idp.Event{OrganizationID: "other", Action: idp.ActionTokenIssued, Outcome: idp.Success, Metadata: map[string]any{"path": "/notes/0"}}
	})
	find := func(text string, want ...int64) {
		t.Helper()
		page, err := f.log.List(t.Context(), auditlog.Query{Filter: auditlog.Filter{OrganizationID: "acme", Text: text}, Limit: 10})
		require.NoError(t, err)
		require.Empty(t, page.NextCursor)
		require.NotEmpty(t, page.ScannedTo)
		require.Equal(t, want, sequences(t, page), text)
	}
	first := f.first()
	find("/notes/", first+3, first+2, first+1, first)
	find("NESTED2", first+2)
	find("item3", first+3)
	find("DEEP", first+3, first+2, first+1, first)
	find("reason_1", first+1)
	find("403", first+3, first+2, first+1, first)
	find(`say "hi" \ Ü`, first+3, first+2, first+1, first)
	find("metadata")
	find("path")
	find("token.issued")

	page, err := f.log.List(t.Context(), auditlog.Query{Filter: auditlog.Filter{OrganizationID: "acme", Text: "notes"}, Limit: 3})
	require.NoError(t, err)
	require.Equal(t, []int64{first + 3, first + 2, first + 1}, sequences(t, page))
	page, err = f.log.List(t.Context(), auditlog.Query{Filter: auditlog.Filter{OrganizationID: "acme", Text: "notes"}, Limit: 3, Cursor: page.NextCursor})
	require.NoError(t, err)
	require.Equal(t, []int64{first}, sequences(t, page))
	require.Empty(t, page.NextCursor)
}

// A search that finds nothing soon says how far it looked, and goes on from there.
func TestSearchIsBounded(t *testing.T) {
	f := newFixture(t)
	for chunk := range 8 {
		f.record(700, func(i int) idp.Event {
			return idp.Event{OrganizationID: "acme", Action: idp.ActionDecisionAllowed, Outcome: idp.Success, Metadata: map[string]any{"n": fmt.Sprintf("needle-%03d-", (chunk*700+i)%1000)}}
		})
	}
	first := f.first()
	query := auditlog.Query{Filter: auditlog.Filter{OrganizationID: "acme", Text: "NEEDLE-599-", Action: idp.ActionDecisionAllowed}, Limit: 10}
	page, err := f.log.List(t.Context(), query)
	require.NoError(t, err)
	require.Equal(t, []int64{first + 5599, first + 4599, first + 3599, first + 2599, first + 1599}, sequences(t, page))
	require.NotEmpty(t, page.NextCursor)
	query.Cursor = page.NextCursor
	page, err = f.log.List(t.Context(), query)
	require.NoError(t, err)
	require.Equal(t, []int64{first + 599}, sequences(t, page))
	require.Empty(t, page.NextCursor)
}

// first is the sequence of the first event of acme.
func (f *fixture) first() int64 {
	f.t.Helper()
	var first int64
	require.NoError(f.t, f.db.View(f.t.Context(), func(ctx context.Context, tx *store.Tx) error {
		rows, err := tx.Events.Range(ctx, "acme", 0, 1)
		require.NoError(f.t, err)
		first = rows[0].Sequence
		return nil
	}))
	return first
}

func sequences(t *testing.T, page auditlog.Page) (all []int64) {
	t.Helper()
	for _, raw := range page.Data {
		var event struct {
			Sequence int64 `json:"sequence"`
		}
		require.NoError(t, json.Unmarshal(raw, &event))
		all = append(all, event.Sequence)
	}
	return all
}
