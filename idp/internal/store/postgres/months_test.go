package postgres

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/store"
)

// Who can make months cannot fill the catalog with them, nor keep the log from
// the months that it needs.
func TestMonthsFarFromNowAreBounded(t *testing.T) {
	t.Parallel()
	owner, service := separated(t)
	conn := connected(t, service)
	var refused error
	for year, months := 1500, 12; refused == nil || months > 1; year++ { // a year at a time, then month by month
		if refused != nil {
			months = 1
		}
		_, refused = conn.Exec(t.Context(), "SELECT event_month((extract(epoch FROM make_timestamptz($1, m, 1, 0, 0, 0, 'UTC')) * 1000)::bigint) FROM generate_series(1, $2) AS m", year, months)
	}
	require.ErrorContains(t, refused, "far from now")
	require.Equal(t, "54000", code(refused))
	tables := "SELECT count(*) FROM pg_inherits WHERE inhparent IN ('events_free'::regclass, 'events_custom'::regclass)"
	require.Equal(t, 600, count(t, owner, tables))

	s := openURL(t, service)
	now := time.Now()
	for _, near := range []time.Time{now.AddDate(0, -23, 0), now, now.AddDate(0, 20, 0)} {
		require.NoError(t, s.Maintain(t.Context(), near))
	}
	require.Greater(t, count(t, owner, tables), 600)
	event := sample(0)
	event.Timestamp = time.Date(1500, 6, 1, 0, 0, 0, 0, time.UTC)
	appendAll(t, s, event)
	require.Len(t, listed(t, s, store.EventFilter{Limit: 10}), 1, "a month that is there takes events, whenever it is")
}
