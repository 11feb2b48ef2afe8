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
	for name, index := range map[string]string{
		"statCounts":      "event_counts_pkey",
		"statPrune":       "event_counts_pkey",
		"statAgents":      "Index Only Scan using agents_listed",
		"statCredentials": "Index Only Scan using credentials_active",
		"statExpiring":    "Index Only Scan using credentials_active",
		"statSidecars":    "Index Only Scan using sidecars_seen",
	} {
		plan := explain(t, conn, name, all[name])
		require.Contains(t, plan, index, "%s\n%s", name, plan)
		require.NotContains(t, plan, "Seq Scan", "%s\n%s", name, plan)
	}
}
