package redis

import (
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/volatile/redistest"
)

// What befalls Redis under load. No call fails, few wait for their budget (see
// TestAQuestionTakesItsBudgetAndNoLonger), and no process passes its own limit.
func TestFaults(t *testing.T) {
	const limit = 300
	for name, fault := range map[string]struct {
		strike  func(*redistest.Server)
		heal    func(*redistest.Server)
		degrade bool // Redis is not asked any more
		passes  bool // by itself
	}{
		"stopped": {strike: (*redistest.Server).Stop, heal: (*redistest.Server).Start, degrade: true},
		"paused":  {strike: (*redistest.Server).Pause, heal: (*redistest.Server).Resume, degrade: true},
		"slow": {
			strike:  func(s *redistest.Server) { go func() { _, _ = s.Try("DEBUG", "SLEEP", "5") }() },
			heal:    func(*redistest.Server) {},
			degrade: true, passes: true,
		},
		"read only": {
			strike:  func(s *redistest.Server) { s.Do("REPLICAOF", "127.0.0.1", "1") },
			heal:    func(s *redistest.Server) { s.Do("REPLICAOF", "NO", "ONE") },
			degrade: true,
		},
		"out of memory": {
			strike:  func(s *redistest.Server) { s.Do("CONFIG", "SET", "maxmemory", "1") },
			heal:    func(s *redistest.Server) { s.Do("CONFIG", "SET", "maxmemory", "0") },
			degrade: true,
		},
		"password changed": {
			strike: func(s *redistest.Server) {
				s.Do("CONFIG", "SET", "requirepass", "new")
				_, _ = s.Try("CLIENT", "KILL", "TYPE", "normal") // refused: the connection has no password
			},
			heal: func(*redistest.Server) {},
		},
		"flushed": {strike: (*redistest.Server).FlushAll, heal: func(*redistest.Server) {}},
		"scripts flushed": {
			strike: func(s *redistest.Server) { s.Do("SCRIPT", "FLUSH") },
			heal:   func(*redistest.Server) {},
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t, "--enable-debug-command", "yes")
			clients := openCalm(t, server.URL(), 3)
			ready(t, clients...)
			var others atomic.Int64
			take := func(c *Client, i int) bool {
				if i%4 != 0 { // most requests are of clients within their limit
					if !c.Take(t.Context(), strconv.FormatInt(others.Add(1), 10), 5, time.Hour).Allowed {
						t.Error("a first request was refused")
					}
					return false
				}
				return c.Take(t.Context(), "busy", limit, time.Hour).Allowed
			}
			before := begin(t, clients, 4, time.Millisecond, take)
			before.more(t, 3000)
			median, p99, most := before.end()
			t.Logf("with redis:    %5d requests, median %v, p99 %v, most %v", before.requests(), median, p99, most)

			during := begin(t, clients, 4, time.Millisecond, take)
			during.more(t, 500)
			fault.strike(server)
			if fault.degrade {
				degraded(t, clients...)
			}
			during.more(t, 6000)
			if fault.degrade && !fault.passes {
				degraded(t, clients...)
			}
			median, p99, most = during.end()
			t.Logf("without redis: %5d requests, median %v, p99 %v, most %v", during.requests(), median, p99, most)
			for _, c := range clients {
				allowed := before.allowed[c] + during.allowed[c]
				t.Logf("admitted at one replica: %d of %d, %d errors", allowed, limit, c.errorsOf(opLimit))
				require.LessOrEqual(t, allowed, limit)
				if fault.degrade {
					require.Less(t, c.errorsOf(opLimit), uint64(100), "a Redis that fails is not asked again and again")
				}
			}

			fault.heal(server)
			if name != "password changed" {
				ready(t, clients...)
				shared(t, clients[0], clients[1])
			}
		})
	}
}

// A value of the wrong kind at a key is an error once, and is gone then.
func TestWrongValues(t *testing.T) {
	server := redistest.Start(t)
	clients := openPatient(t, server.URL(), 2)
	c := clients[0]
	ready(t, clients...)
	limit := c.names.name("limit", "3600000", "a")
	for _, wrong := range [][]any{
		{"SET", limit, "x"},
		{"HSET", limit, "x", "y"},
		{"RPUSH", limit, "x"},
		{"RPUSH", limit, "1:2"},
		{"RPUSH", limit, "-1:0:1"},
		{"RPUSH", limit, "1e9:0:1"},
		{"RPUSH", limit, "x", fmt.Sprintf("%d:0:1", time.Now().UnixMilli())},
	} {
		server.Do("DEL", limit)
		server.Do(wrong...)
		errors := c.errorsOf(opLimit)
		require.True(t, c.Take(t.Context(), "a", 100, time.Hour).Allowed, "%v", wrong)
		require.Equal(t, errors+1, c.errorsOf(opLimit), "%v", wrong)
		require.True(t, c.Take(t.Context(), "a", 100, time.Hour).Allowed, "%v", wrong)
		require.Equal(t, errors+1, c.errorsOf(opLimit), "%v: the script has removed it", wrong)
		require.NoError(t, c.Ready(t.Context()))
		for range 10 { // the breaker forgets
			c.Take(t.Context(), "other", 0x10000, time.Hour)
		}
	}
	// Marks of a clock that was wrong do not lock anybody out.
	server.Do("DEL", limit)
	server.Do("RPUSH", limit, "99999999999999:0:100")
	require.True(t, clients[1].Take(t.Context(), "a", 100, time.Hour).Allowed)
	require.Zero(t, clients[1].errorsOf(opLimit))

	name := c.names.name("cache", "a")
	sealed := func(name string, expires time.Time) string {
		return string(c.names.seal(name, []byte("forged"), expires))
	}
	for _, wrong := range []string{
		"x", sealed("agentidp:cache:{other}", time.Now().Add(time.Hour)), sealed(name, time.Now().Add(time.Hour)) + "x",
		string(newNamer(testKey()).seal(name, []byte("forged"), time.Now().Add(time.Hour))),
	} {
		server.Do("SET", name, wrong)
		errors := c.errorsOf(opCacheGet)
		_, ok := c.Get(t.Context(), "a")
		require.False(t, ok)
		require.Equal(t, errors+1, c.errorsOf(opCacheGet))
		for range 10 {
			c.Take(t.Context(), "other", 0x10000, time.Hour)
		}
	}
	server.Do("SET", name, sealed(name, time.Now().Add(-time.Second)))
	_, ok := c.Get(t.Context(), "a")
	require.False(t, ok, "expired")
	server.Do("DEL", name)
	server.Do("RPUSH", name, "x")
	c.Set(t.Context(), "a", []byte("one"), time.Hour)
	value, ok := clients[1].Get(t.Context(), "a")
	require.True(t, ok)
	require.Equal(t, "one", string(value))

	quota := c.names.name("quota", "2026-03 a")
	at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	server.Do("SET", quota, "99999999")
	require.False(t, c.Exceeded(t.Context(), "a", 1, at), "nobody is refused on Redis's word")
	require.EqualValues(t, 1, c.errorsOf(opQuotaGet))
}

// What Redis refuses takes no place in the process, and what the process has
// admitted counts there whatever Redis forgets.
func TestFlush(t *testing.T) {
	const limit = 20
	server := redistest.Start(t)
	clients := openPatient(t, server.URL(), 2)
	ready(t, clients...)
	take := func(c *Client) (allowed int) {
		for range 2 * limit {
			if c.Take(t.Context(), "a", limit, time.Hour).Allowed {
				allowed++
			}
		}
		return allowed
	}
	require.Equal(t, limit, take(clients[0]))
	require.Zero(t, take(clients[1]))
	server.FlushAll()
	require.Zero(t, take(clients[0]))
	require.Equal(t, limit, take(clients[1]))
}

// Poison at every key under load opens the breaker; nothing is let in by it.
func TestPoison(t *testing.T) {
	server := redistest.Start(t)
	c := open(t, server.URL(), 1)[0]
	ready(t, c)
	name := c.names.name("limit", "3600000", "a")
	allowed := 0
	for range 200 {
		server.Do("SET", name, "poison")
		if c.Take(t.Context(), "a", 50, time.Hour).Allowed {
			allowed++
		}
	}
	require.Equal(t, 50, allowed)
	require.NotZero(t, c.errorsOf(opLimit))
}

func TestStartsWithoutRedis(t *testing.T) {
	server := redistest.Start(t)
	server.Stop()
	clients := openCalm(t, server.URL(), 2)
	require.Eventually(t, func() bool { return strings.Contains(clients[0].Ready(t.Context()).Error(), "connection refused") }, patience, 10*time.Millisecond)
	for range 3 {
		require.True(t, clients[0].Take(t.Context(), "a", 3, time.Hour).Allowed)
	}
	require.False(t, clients[0].Take(t.Context(), "a", 3, time.Hour).Allowed)
	at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	clients[0].Exceed(t.Context(), "agent", 5, at)
	require.True(t, clients[0].Exceeded(t.Context(), "agent", 5, at))
	require.False(t, clients[1].Exceeded(t.Context(), "agent", 5, at))
	clients[0].Set(t.Context(), "k", []byte("v"), time.Hour)
	value, _ := clients[0].Get(t.Context(), "k")
	require.Equal(t, "v", string(value))
	changed, stop := clients[1].Subscribe("t")
	defer stop()

	server.Start()
	ready(t, clients...)
	require.Eventually(t, func() bool { return len(changed) > 0 }, patience, 10*time.Millisecond, "a new connection signals, just in case")
	shared(t, clients[1], clients[0])
}

// The connection that hears signals may hang too.
func TestBusHealsAfterPause(t *testing.T) {
	server := redistest.Start(t)
	clients := open(t, server.URL(), 2)
	ready(t, clients...)
	changed, stop := clients[1].Subscribe("t")
	defer stop()
	across := func() bool { clients[0].Publish(t.Context(), "t"); return len(changed) > 0 }
	require.Eventually(t, across, patience, 10*time.Millisecond)
	server.Pause()
	require.Eventually(t, func() bool { return clients[1].errorsOf(opSubscribe) > 0 }, patience, 10*time.Millisecond)
	server.Resume()
	<-changed
	require.Eventually(t, func() bool { return len(changed) > 0 }, patience, 10*time.Millisecond, "signalled for what was missed")
}

// One node of a cluster hangs: the other two thirds of the keys must not wait for it.
func TestClusterNodePaused(t *testing.T) {
	nodes := redistest.Cluster(t)
	clients := open(t, nodes.URL(), 2)
	ready(t, clients...)
	var key atomic.Int64
	l := begin(t, clients, 4, time.Millisecond, func(c *Client, _ int) bool {
		return c.Take(t.Context(), strconv.FormatInt(key.Add(1), 10), 5, time.Hour).Allowed
	})
	l.more(t, 1000)
	nodes[1].Pause()
	degraded(t, clients...)
	l.more(t, 4000)
	median, p99, most := l.end()
	t.Logf("%d requests, median %v, p99 %v, most %v", l.requests(), median, p99, most)
	require.Equal(t, l.requests(), l.allowed[clients[0]]+l.allowed[clients[1]])
	nodes[1].Resume()
	ready(t, clients...)
}
