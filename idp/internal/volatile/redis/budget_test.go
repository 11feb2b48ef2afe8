package redis

import (
	"context"
	"log/slog"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/VictoriaMetrics/metrics"

	"github.com/sentryagent/agentidp/idp/internal/volatile/local"
)

// A Redis that never answers costs a question its budget; after three nobody is
// asked, and nobody waits.
func TestAQuestionTakesItsBudgetAndNoLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		silent := func(ctx context.Context, _, _ string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			context.AfterFunc(t.Context(), func() { _, _ = ours.Close(), theirs.Close() })
			go func() { _, _ = theirs.Read(make([]byte, 1<<10)) }() // and no more
			return ours, nil
		}
		to := &target{budget: budget}
		o := to.options()
		o.Addrs, o.Dialer = []string{"redis:6379"}, silent
		c := &Client{
			rdb: &server{UniversalClient: redis.NewClient(o.Simple())}, budget: budget, near: local.New(time.Now), names: newNamer(testKey()), now: time.Now,
			logger: slog.New(slog.DiscardHandler), errors: newErrors(metrics.NewSet()), breaker: newBreaker(),
		}
		defer c.rdb.Close()
		c.breaker.probed(nil, time.Now())
		for n := range 10 {
			began := time.Now()
			require.True(t, c.Take(t.Context(), "a", 10, time.Hour).Allowed)
			wait := budget
			if n >= 3 {
				wait = 0
			}
			require.Equal(t, wait, time.Since(began), "question %d", n)
		}
		require.EqualValues(t, 3, c.errorsOf(opLimit))
	})
}
