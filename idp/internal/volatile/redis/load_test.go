package redis

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/volatile/redistest"
)

// load is requests of one key at each of several replicas.
type load struct {
	mu      sync.Mutex
	allowed map[*Client]int // guarded by mu
	times   []time.Duration // guarded by mu
	stop    context.CancelFunc
	done    sync.WaitGroup
}

// begin asks from workers for each replica, every pace, until end.
func begin(t *testing.T, clients []*Client, workers int, pace time.Duration, take func(c *Client, i int) bool) *load {
	ctx, stop := context.WithCancel(t.Context())
	l := &load{allowed: map[*Client]int{}, stop: stop}
	for _, c := range clients {
		for range workers {
			l.done.Go(func() {
				ticker := time.NewTicker(pace)
				defer ticker.Stop()
				for i := 0; ctx.Err() == nil; i++ {
					start := time.Now()
					allowed := take(c, i)
					l.count(c, allowed, time.Since(start))
					<-ticker.C
				}
			})
		}
	}
	return l
}

func (l *load) count(c *Client, allowed bool, took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.times = append(l.times, took)
	if allowed {
		l.allowed[c]++
	}
}

// requests is how many were answered until now.
func (l *load) requests() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.times)
}

// more waits until n more requests were answered.
func (l *load) more(t *testing.T, n int) {
	t.Helper()
	from := l.requests()
	require.Eventually(t, func() bool { return l.requests() >= from+n }, patience, time.Millisecond)
}

func (l *load) end() (median, p99, most time.Duration) {
	l.stop()
	l.done.Wait()
	slices.Sort(l.times)
	return l.times[len(l.times)/2], l.times[len(l.times)*99/100], l.times[len(l.times)-1]
}

// Three replicas and one key: exact across replicas, within 1 % asked for.
func TestLimitAcrossReplicas(t *testing.T) {
	for name, url := range map[string]string{
		"standalone": redistest.Standalone(t).URL(), "cluster": redistest.Cluster(t).URL(),
	} {
		for _, limit := range []int{100, 1000, 10_000} {
			t.Run(fmt.Sprintf("%s/%d", name, limit), func(t *testing.T) {
				clients := openPatient(t, url, 3)
				ready(t, clients...)
				start := time.Now()
				var group sync.WaitGroup
				l := &load{allowed: map[*Client]int{}}
				for _, c := range clients {
					for range 4 {
						group.Go(func() {
							for range limit/8 + 10 {
								start := time.Now()
								allowed := c.Take(t.Context(), "198.51.100.7/32", limit, time.Hour).Allowed
								l.count(c, allowed, time.Since(start))
							}
						})
					}
				}
				group.Wait()
				took, total := time.Since(start), 0
				for _, c := range clients {
					require.LessOrEqual(t, l.allowed[c], limit)
					require.Zero(t, c.errorsOf(opLimit))
					total += l.allowed[c]
				}
				slices.Sort(l.times)
				t.Logf("%d requests at 3 replicas in %v: %d of %d admitted (%+.2f %%), p99 %v",
					len(l.times), took.Round(time.Millisecond), total, limit, 100*float64(total-limit)/float64(limit), l.times[len(l.times)*99/100])
				require.InEpsilon(t, limit, total, 0.01)
			})
		}
	}
}

// Windows slide in Redis as they do in the process: over several windows the
// replicas together admit what one limit admits.
func TestWindowsAcrossReplicas(t *testing.T) {
	const limit, window, windows = 200, 500 * time.Millisecond, 6
	clients := openPatient(t, redistest.Standalone(t).URL(), 3)
	ready(t, clients...)
	start := time.Now()
	l := begin(t, clients, 4, time.Millisecond, func(c *Client, _ int) bool {
		return c.Take(t.Context(), "a", limit, window).Allowed
	})
	admitted := func() (total int) {
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, allowed := range l.allowed {
			total += allowed
		}
		return total
	}
	require.Eventually(t, func() bool { return admitted() > limit*(windows-1) }, patience, time.Millisecond, "a window that has passed makes room")
	l.end()
	elapsed, total := time.Since(start), admitted()
	most := limit * (int(elapsed/window) + 1)
	t.Logf("%d of at most %d admitted in %v", total, most, elapsed.Round(time.Millisecond))
	require.LessOrEqual(t, total, most)
}
