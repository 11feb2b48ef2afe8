package faults

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/volatile/redistest"
)

// limited lets the rate limit ask Redis for every request, and never be reached.
const limited = "AGENTIDP_LIMITS_REQUESTS_PER_MINUTE=1000000"

// refused are answers of the ledger since a number of deeds that a client
// without a fault would not have had.
func (tr *trial) refused(since int) (found []string) {
	for _, d := range tr.ledger.all()[since:] {
		if !d.excused() && (d.told == unknown || d.status == http.StatusServiceUnavailable || d.status == http.StatusTooManyRequests) {
			found = append(found, fmt.Sprintf("%s %s: %d %s", d.kind, d.id, d.status, d.reply))
		}
	}
	return found
}

// slowest is the longest answer since a number of deeds.
func (tr *trial) slowest(since int) (longest time.Duration) {
	for _, d := range tr.ledger.all()[since:] {
		longest = max(longest, d.done.Sub(d.sent))
	}
	return longest
}

// F5: Redis is flushed under load. What was revoked stays so, and no client notices.
func TestF5Flushed(t *testing.T) {
	redis := redistest.Start(t)
	onEach(t, func(t *testing.T, s *site) {
		tr := newTrial(t, plain, s, "REDIS_URL="+redis.URL(), limited)
		tr.process.Start()
		load := tr.load()
		tr.flowing(20)
		admin := holder{clientID: adminID, secret: adminSecret}
		revived, since := 0, len(tr.ledger.all())
		for range pick(3, 30) {
			var token string
			insist(t, func() (d deed) { d, token = tr.client.issue(admin); return d })
			insist(t, func() deed { return tr.client.revoke(admin, token) })
			redis.FlushAll()
			if tr.client.known(t, token) {
				revived++
			}
			tr.flowing(20)
			tr.figures.runs++
		}
		load.stop()
		failed := tr.refused(since)
		figures := tr.close()
		figures.extra = fmt.Sprintf("backend=%s revived=%d failed=%d", s.backend, revived, len(failed))
		report(t, "F5", figures)
		require.Zero(t, revived)
		require.Empty(t, failed)
	})
}

// F6: Redis is stopped, then hangs, then answers nonsense. Every request is
// served from the store, and health says degraded.
func TestF6RedisDownSlowOrWrong(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		redis := redistest.Start(t)
		tr := newTrial(t, plain, s, "REDIS_URL="+redis.URL(), limited)
		tr.process.Start()
		load := tr.load()
		tr.flowing(50)
		usual := tr.slowest(0)
		since := len(tr.ledger.all())
		var degraded time.Duration
		for _, fault := range []struct{ begin, end func() }{
			{redis.Stop, redis.Start},
			{redis.Pause, redis.Resume},
			{func() { redis.Do("CONFIG", "SET", "maxmemory", "1") }, func() { redis.Do("CONFIG", "SET", "maxmemory", "0") }},
		} {
			fault.begin()
			begun := time.Now()
			degraded = max(degraded, await(t, "health is degraded, and 200", func() bool {
				health, body := tr.process.look()
				return health == http.StatusOK && strings.Contains(body, `"degraded"`)
			}))
			tr.flowing(50)
			fault.end()
			await(t, "health is ok again", func() bool {
				health, body := tr.process.look()
				return health == http.StatusOK && !strings.Contains(body, `"degraded"`)
			})
			tr.figures.runs++
			t.Logf("fault over after %s", time.Since(begun).Round(time.Millisecond))
		}
		load.stop()
		failed := tr.refused(since)
		figures := tr.close()
		figures.extra = fmt.Sprintf("backend=%s failed=%d usual_ms=%d slowest_ms=%d degraded_ms=%d",
			s.backend, len(failed), usual.Milliseconds(), tr.slowest(since).Milliseconds(), degraded.Milliseconds())
		report(t, "F6", figures)
		require.Empty(t, failed)
	})
}
