package volatiletest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	// Nine in the evening of the 31st in UTC-5 is the next month in UTC.
	west = time.Date(2026, 3, 31, 21, 0, 0, 0, time.FixedZone("", -5*3600))
	may  = time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
)

var quotaFacts = []fact{
	{"knows nothing", func(t *testing.T, first, last Replica) {
		require.False(t, first.Exceeded(t.Context(), "a", 1, west))
		require.False(t, last.Exceeded(t.Context(), "a", 1, west))
	}},
	{"remembers what the store refused, in every replica", func(t *testing.T, first, last Replica) {
		first.Exceed(t.Context(), "a", 100, west)
		for _, r := range []Replica{first, last} {
			require.True(t, r.Exceeded(t.Context(), "a", 100, west))
			require.True(t, r.Exceeded(t.Context(), "a", 1, west), "more than a lower limit was used")
			require.False(t, r.Exceeded(t.Context(), "a", 101, west), "under a higher one the store decides")
			require.False(t, r.Exceeded(t.Context(), "a", 0, west), "no limit")
			require.False(t, r.Exceeded(t.Context(), "a", -1, west))
			require.False(t, r.Exceeded(t.Context(), "b", 1, west), "another agent")
		}
	}},
	{"months are UTC's", func(t *testing.T, first, last Replica) {
		first.Exceed(t.Context(), "a", 100, west)
		for _, r := range []Replica{first, last} {
			require.True(t, r.Exceeded(t.Context(), "a", 100, time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)))
			require.True(t, r.Exceeded(t.Context(), "a", 100, may.Add(-time.Nanosecond)))
			require.False(t, r.Exceeded(t.Context(), "a", 100, may))
			require.False(t, r.Exceeded(t.Context(), "a", 100, time.Date(2026, 3, 31, 23, 59, 59, 0, time.UTC)))
		}
	}},
	{"a limit of none is never exceeded", func(t *testing.T, first, last Replica) {
		first.Exceed(t.Context(), "a", 0, west)
		first.Exceed(t.Context(), "b", -1, west)
		require.False(t, first.Exceeded(t.Context(), "a", 1, west))
		require.False(t, last.Exceeded(t.Context(), "b", 1, west))
	}},
	{"a later refusal under another limit holds", func(t *testing.T, first, last Replica) {
		first.Exceed(t.Context(), "a", 100, west)
		first.Exceed(t.Context(), "a", 200, west)
		require.True(t, last.Exceeded(t.Context(), "a", 150, west))
	}},
	{"nothing outlives the month", func(t *testing.T, first, last Replica) {
		first.Exceed(t.Context(), "a", 100, may.Add(-100*time.Millisecond))
		require.Eventually(t, func() bool {
			return !last.Exceeded(t.Context(), "a", 100, may.Add(-time.Millisecond))
		}, patience, 10*time.Millisecond)
	}},
}
