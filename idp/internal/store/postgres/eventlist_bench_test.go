package postgres

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

// eventsURL names a database that bench/cmd/loadevents filled and VACUUM ANALYZE
// has seen, as the service finds it.
const eventsURL = "AGENTIDP_EVENTS_DATABASE"

// BenchmarkEventLists asks for the newest page of every mix of the filters, in
// spans of the log. Its own clock takes best and median: -benchtime 15x.
func BenchmarkEventLists(b *testing.B) {
	address := os.Getenv(eventsURL)
	if address == "" {
		b.Skip(eventsURL + " names no database")
	}
	s, err := Open(b.Context(), Options{URL: address})
	require.NoError(b, err)
	defer func() { require.NoError(b, s.Close()) }()
	seen := surveyed(b, address)
	for _, span := range seen.spans() {
		for _, limit := range []int{1000, 100} {
			for _, f := range seen.filters() {
				f.From, f.To, f.Before, f.Limit = span.From, span.To, span.Before, limit
				b.Run(fmt.Sprintf("%s/%s/%d", span.name, nameOf(f), limit), func(b *testing.B) { timeList(b, s, f) })
			}
		}
	}
}

func timeList(b *testing.B, s *Store, f store.EventFilter) {
	var found []store.EventRow
	var took []time.Duration
	for b.Loop() {
		begun := time.Now()
		require.NoError(b, s.View(b.Context(), func(ctx context.Context, tx *store.Tx) (err error) {
			found, err = tx.Events.List(ctx, f)
			return err
		}))
		took = append(took, time.Since(begun))
	}
	slices.Sort(took)
	b.ReportMetric(float64(len(found)), "rows")
	b.ReportMetric(float64(took[0].Microseconds())/1000, "best-ms")
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "median-ms")
}

// survey is what is frequent and what is rare in a log.
type survey struct {
	first, last   time.Time
	next          int64
	organization  string // the largest
	agent, seldom string
	targets       [2]string // the busiest and the next
}

func surveyed(b *testing.B, address string) survey {
	b.Helper()
	conn, err := pgx.Connect(b.Context(), address)
	require.NoError(b, err)
	defer conn.Close(context.Background())
	var found survey
	for query, into := range map[string][]any{
		"SELECT next FROM event_head": {&found.next},
		"SELECT organization_id FROM event_kinds GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1":           {&found.organization},
		"SELECT agent_id FROM events TABLESAMPLE SYSTEM (1) GROUP BY 1 ORDER BY count(*) DESC LIMIT 1":   {&found.agent},
		"SELECT agent_id FROM events TABLESAMPLE SYSTEM (1) GROUP BY 1 ORDER BY count(*) LIMIT 1":        {&found.seldom},
		"SELECT target_agent_id FROM event_targets GROUP BY 1 ORDER BY count(*) DESC LIMIT 1":            {&found.targets[0]},
		"SELECT target_agent_id FROM event_targets GROUP BY 1 ORDER BY count(*) DESC LIMIT 1 OFFSET 1":   {&found.targets[1]},
		"SELECT to_timestamp(min(lowest) / 1000), to_timestamp(max(highest) / 1000) FROM event_segments": {&found.first, &found.last},
	} {
		require.NoError(b, conn.QueryRow(b.Context(), query).Scan(into...), query)
	}
	return found
}

type namedSpan struct {
	name string
	store.EventFilter
}

func (s survey) spans() []namedSpan {
	day := 24 * time.Hour
	middle := s.first.Add(s.last.Sub(s.first) / 2)
	return []namedSpan{
		{"all", store.EventFilter{}},
		{"to the third day", store.EventFilter{To: s.first.Add(3 * day)}},
		{"a day in the middle", store.EventFilter{From: middle, To: middle.Add(day)}},
		{"from the last day", store.EventFilter{From: s.last.Add(-day)}},
		{"before half", store.EventFilter{Before: s.next / 2}},
	}
}

// filters are all mixes of organization, agent, target, action and outcome.
func (s survey) filters() []store.EventFilter {
	actions := []idp.Action{ // from the most frequent down
		"", idp.ActionTokenIssued, idp.ActionTokenRevoked, idp.ActionAgentUpdated, idp.ActionAgentSuspended, idp.ActionAgentDecommissioned, idp.ActionPolicyReloaded,
	}
	var filters []store.EventFilter
	for _, organization := range []string{store.AnyOrganization, s.organization} {
		for _, agent := range []string{"", s.agent, s.seldom} {
			for _, target := range []string{"", s.targets[0], s.targets[1], s.seldom} {
				for _, action := range actions {
					for _, outcome := range []idp.Outcome{"", idp.Success, idp.Denied} {
						filters = append(filters, store.EventFilter{
							OrganizationID: organization, AgentID: agent, TargetAgentID: target, Action: action, Outcome: outcome,
						})
					}
				}
			}
		}
	}
	return filters
}

func nameOf(f store.EventFilter) string {
	var parts []string
	for name, value := range map[string]string{
		"organization": f.OrganizationID, "agent": f.AgentID, "target": f.TargetAgentID, "action": string(f.Action), "outcome": string(f.Outcome),
	} {
		if value != "" {
			parts = append(parts, name+"="+value[max(0, strings.LastIndexByte(value, '-')-3):])
		}
	}
	slices.Sort(parts)
	return strings.Join(parts, ",")
}
