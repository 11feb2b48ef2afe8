package postgres

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/store"
)

// partitionStep is a step of a plan that reads a partition of events.
var partitionStep = regexp.MustCompile(`(\w+(?: \w+)*?)(?: Backward)? (?:using (\w+) )?on (events_(?:free|custom)_\d{4}_\d{2})\b`)

// What is asked of the log reads no partition but through the index made for it,
// in its order, whether the planner knows nothing of a partition, or all.
func TestEventPlans(t *testing.T) {
	address := fresh(t)
	s := openURL(t, address)
	var rows []store.EventRow
	for i := range int64(3000) {
		rows = append(rows, at(i, sampleTime.Add(time.Duration(i)*time.Hour)))
	}
	appendEvents(t, s, rows...)
	conn := connected(t, address)
	_, err := conn.Exec(t.Context(), "BEGIN")
	require.NoError(t, err)
	requireEventPlans(t, conn)
	require.NoError(t, execute(t.Context(), address, "ANALYZE"))
	requireEventPlans(t, conn)
}

func requireEventPlans(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	all := statements(t)
	for name, index := range map[string]string{
		"eventList":                 `_sequence_key$`,
		"eventListByVerb":           `_verb_sequence_idx$`,
		"eventListByKind":           `_kind_sequence_idx$`,
		"eventListByAgent":          `_agent_id_kind_sequence_idx$`,
		"eventListByTarget":         `_sequence_key$`,
		"eventListByTargetAndAgent": `_sequence_key$`,
		"eventRangeAll":             `_sequence_key$`,
		"eventRange":                `_kind_sequence_idx$`,
		"eventGet":                  `_event_id_key$`,
	} {
		for _, mode := range []string{"force_generic_plan", "force_custom_plan"} {
			for _, setting := range []string{planInOrder, "SET plan_cache_mode = " + mode} {
				_, err := conn.Exec(t.Context(), setting)
				require.NoError(t, err)
			}
			require.NoError(t, conn.DeallocateAll(t.Context()))
			plan := explainWith(t, conn, name, all[name])
			steps := partitionStep.FindAllStringSubmatch(plan, -1)
			require.NotEmpty(t, steps, "%s\n%s", name, plan)
			for _, step := range steps {
				require.Regexp(t, `Index (Only )?Scan$`, step[1], "%s, %s\n%s", name, mode, plan)
				require.Regexp(t, index, step[2], "%s, %s\n%s", name, mode, plan)
			}
		}
	}
}

// The deeds done to a target come by the kind that is asked for, and no others are read.
func TestTargetPlans(t *testing.T) {
	address := fresh(t)
	s := openURL(t, address)
	var rows []store.EventRow
	for i := range int64(3000) {
		rows = append(rows, targeted(at(i, sampleTime.Add(time.Duration(i)*time.Hour))))
	}
	appendEvents(t, s, rows...)
	require.NoError(t, execute(t.Context(), address, "ANALYZE"))
	conn := connected(t, address)
	for name, want := range map[string]string{
		"eventListByTarget":         `Backward using event_targets_pkey on event_targets\b.*\n +Index Cond: .*target_agent_id = ANY .* AND \(kind = k.kind\) AND \(sequence >= .* AND \(sequence < `,
		"eventListByTargetAndAgent": `Backward using event_targets_by_agent on event_targets\b.*\n +Index Cond: .*\(agent_id = ANY .* AND \(target_agent_id = .* AND \(kind = k.kind\) AND \(sequence >= .* AND \(sequence < `,
	} {
		for _, mode := range []string{"force_generic_plan", "force_custom_plan"} {
			require.NoError(t, conn.DeallocateAll(t.Context()))
			_, err := conn.Exec(t.Context(), "BEGIN; "+planInOrder+"; SET LOCAL plan_cache_mode = "+mode)
			require.NoError(t, err)
			plan := explainWith(t, conn, name, statements(t)[name])
			require.Regexp(t, want, plan)
			require.NotRegexp(t, `Seq Scan|Bitmap`, plan)
			_, err = conn.Exec(t.Context(), "ROLLBACK")
			require.NoError(t, err)
		}
	}
}

// An event that is looked up by its target is looked for in one partition, of
// however many there are.
func TestATargetIsLookedUpInItsPartition(t *testing.T) {
	address := fresh(t)
	s := openURL(t, address)
	appendEvents(t, s, targeted(at(0, sampleTime)), at(1, sampleTime.AddDate(0, 1, 0)), at(2, sampleTime.AddDate(0, 2, 0)))
	conn := connected(t, address)
	_, err := conn.Exec(t.Context(), "BEGIN")
	require.NoError(t, err)
	for _, setting := range []string{planInOrder, "SET plan_cache_mode = force_generic_plan"} {
		_, err := conn.Exec(t.Context(), setting)
		require.NoError(t, err)
	}
	_, err = conn.Prepare(t.Context(), "eventListByTarget", eventListByTarget)
	require.NoError(t, err)
	rows, err := conn.Query(t.Context(), `EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) EXECUTE "eventListByTarget"`+listArguments["eventListByTarget"], pgx.QueryExecModeSimpleProtocol)
	require.NoError(t, err)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	plan := strings.Join(lines, "\n")
	var read []string
	for _, line := range lines {
		if step := partitionStep.FindStringSubmatch(line); step != nil && !strings.Contains(line, "never executed") {
			read = append(read, step[3])
		}
	}
	require.Equal(t, []string{"events_custom_2026_03"}, read, plan)
}

// arguments that every list and range takes, as text of SQL.
var listArguments = map[string]string{
	"eventList":                 "(0, 1900000000000, 0, 5000, 100)",
	"eventListByVerb":           "(0, 1900000000000, 0, 5000, 100, 'token.issued', '')",
	"eventListByKind":           "(0, 1900000000000, 0, 5000, 100, '', 'success', 'acme')",
	"eventListByAgent":          "(0, 1900000000000, 0, 5000, 100, '', '', '', 'agent')",
	"eventListByTarget":         "(0, 1900000000000, 0, 5000, 100, '', '', '', 'agent')",
	"eventListByTargetAndAgent": "(0, 1900000000000, 0, 5000, 100, '', '', '', 'agent', 'admin')",
	"eventRangeAll":             "(5, 100)",
	"eventRange":                "(5, 5000, 100, 'acme')",
	"eventGet":                  "('acme', 'event-5')",
}

func explainWith(t *testing.T, conn *pgx.Conn, name, query string) string {
	t.Helper()
	_, err := conn.Prepare(t.Context(), name, query)
	require.NoError(t, err)
	rows, err := conn.Query(t.Context(), `EXPLAIN EXECUTE "`+name+`"`+listArguments[name], pgx.QueryExecModeSimpleProtocol)
	require.NoError(t, err)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	var plan string
	for _, line := range lines {
		plan += line + "\n"
	}
	return plan
}
