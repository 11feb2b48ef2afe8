package redis

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/volatile/local"
	"github.com/sentryagent/agentidp/idp/internal/volatile/redistest"
)

// The script and the process give the same verdicts at the same times, clocks
// that step back included. The script's clock is replaced here.
func TestSameAlgorithm(t *testing.T) {
	const clock = `redis.call('TIME')`
	require.Equal(t, 1, strings.Count(takeSource, clock))
	// Lives for hours: Redis's own clock, by which keys expire, stands still here.
	source := strings.Replace(takeSource, clock, `{ tonumber(ARGV[3]), 0 }`, 1)
	source = strings.Replace(source, `time[1] * 1000`, `time[1]`, 1)
	source = strings.Replace(source, `'PEXPIRE', key, window`, `'PEXPIRE', key, 3600000`, 1)
	script := redis.NewScript(source)
	client := redis.NewClient(&redis.Options{Addr: redistest.Standalone(t).Addr, Protocol: 2})
	defer client.Close()

	for i, limit := range []int{1, 2, 7, 100, 256, 257, 1000} {
		for _, window := range []time.Duration{time.Millisecond, time.Second, time.Minute} {
			var elapsed, latest time.Duration
			epoch := time.Now()
			process := local.NewLimiter(local.LimiterOptions{Now: func() time.Time { return epoch.Add(elapsed) }})
			random := rand.New(rand.NewPCG(uint64(i), uint64(window)))
			key := fmt.Sprintf("agentidp:test:{%s}", testKey())
			for n := range 5*limit + 50 {
				switch random.IntN(20) {
				case 0:
					elapsed += time.Duration(random.Int64N(int64(2 * window)))
				case 1: // back, by less than a window: more than that the script does not believe
					elapsed = max(0, elapsed-time.Duration(random.Int64N(int64(window)/3)))
				default:
					elapsed += time.Duration(random.Int64N(int64(2*window)/int64(limit) + 1))
				}
				latest = max(latest, elapsed).Truncate(time.Millisecond)
				elapsed = max(elapsed.Truncate(time.Millisecond), latest-window)
				reply, err := script.Run(t.Context(), client, []string{key}, limit, window.Milliseconds(), elapsed.Milliseconds()).Result()
				require.NoError(t, err)
				shared, err := decodeVerdict(reply, limit, window)
				require.NoError(t, err, "%v", reply)
				require.Equal(t, process.Take(t.Context(), "a", limit, window), shared, "limit %d, window %v, request %d", limit, window, n)
			}
		}
	}
}

// The window's marks take little room.
func TestBytesPerKey(t *testing.T) {
	server := redistest.Standalone(t)
	c := openPatient(t, server.URL(), 1)[0]
	ready(t, c)
	for _, fact := range []struct{ limit, requests, bytes int }{{100, 1, 300}, {100, 100, 3000}, {1_000_000, 2000, 8000}} {
		key := fmt.Sprint(fact)
		for range fact.requests {
			require.True(t, c.Take(t.Context(), key, fact.limit, time.Minute).Allowed)
		}
		used, _ := server.Do("MEMORY", "USAGE", c.names.name("limit", "60000", key)).(int64)
		t.Logf("limit %d, %d requests: %d bytes", fact.limit, fact.requests, used)
		require.Less(t, used, int64(fact.bytes))
	}
}
