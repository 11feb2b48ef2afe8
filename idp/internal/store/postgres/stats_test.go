package postgres

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What a dashboard asks for every few seconds must count in an index.
func TestStatPlans(t *testing.T) {
	conn := connected(t, fresh(t))
	all := statements(t)
	for _, setting := range []string{"enable_seqscan = off", "enable_bitmapscan = off", "plan_cache_mode = force_generic_plan"} {
		_, err := conn.Exec(t.Context(), "SET "+setting)
		require.NoError(t, err)
	}
	matching := explain(t, conn, "agentsMatching", all["agentsMatching"])
	for _, index := range []string{"agents_by_email", "agents_by_id", "agents_by_owner", "agents_pkey"} {
		require.Contains(t, matching, index, matching)
	}
	require.NotContains(t, matching, "Sort", matching)
	for name, index := range map[string]string{
		"agentPage":          "Index Scan using agents_listed",
		"agentPageOldest":    "Index Scan Backward using agents_listed",
		"agentPageEmail":     "Index Scan using agents_by_email",
		"agentPageEmailDown": "Index Scan Backward using agents_by_email",
		"statCounts":         "event_counts_pkey",
		"statPrune":          "event_counts_pkey",
		"statAgents":         "agent_counts_pkey",
		"agentTotals":        "agent_counts_pkey",
		"statCredentials":    "credential_ends_pkey",
		"agentsHolding":      "agent_capabilities_held",
		"statSidecars":       "Index Only Scan using sidecars_seen",
		"statMostTokens":     "Index Scan Backward using token_usage_ranked",
	} {
		plan := explain(t, conn, name, all[name])
		require.Contains(t, plan, index, "%s\n%s", name, plan)
		require.NotContains(t, plan, "Seq Scan", "%s\n%s", name, plan)
	}
}

// Of each state only a page is read, in the order of its index.
func TestMergePlans(t *testing.T) {
	conn := connected(t, fresh(t))
	all := statements(t)
	for _, setting := range []string{"enable_seqscan = off", "enable_bitmapscan = off", "plan_cache_mode = force_generic_plan"} {
		_, err := conn.Exec(t.Context(), "SET "+setting)
		require.NoError(t, err)
	}
	for name, index := range map[string]string{
		"agentMerge":          "Index Only Scan using agents_by_state on agents b",
		"agentMergeOldest":    "Index Only Scan Backward using agents_by_state on agents b",
		"agentMergeEmail":     "Index Only Scan using agents_by_state_email on agents b",
		"agentMergeEmailDown": "Index Only Scan Backward using agents_by_state_email on agents b",
	} {
		plan := explain(t, conn, name, all[name])
		require.Contains(t, plan, index, "%s\n%s", name, plan)
		require.Contains(t, plan, "(status = k.status) AND (environment = k.environment) AND (agent_type = k.agent_type)", "%s\n%s", name, plan)
		require.Contains(t, plan, "agent_counts_pkey", "%s\n%s", name, plan)
		require.NotContains(t, plan, "Seq Scan", "%s\n%s", name, plan)
	}
}
