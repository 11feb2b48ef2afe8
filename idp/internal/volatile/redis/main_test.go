package redis

import (
	"context"
	"crypto/rand"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sentryagent/agentidp/idp/internal/volatile/redistest"
	"github.com/sentryagent/agentidp/idp/internal/volatile/volatiletest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = time.Minute

// testKey separates a test from all others on the same server.
func testKey() []byte {
	key := make([]byte, KeySize)
	_, _ = rand.Read(key) // never fails
	return key
}

// open opens replicas that share.
func open(t *testing.T, url string, n int) []*Client { return openAll(t, url, n, budget) }

// openPatient is open for tests of what is exact while every question is
// answered, on a machine that may have no core for it just then.
func openPatient(t *testing.T, url string, n int) []*Client { return openAll(t, url, n, patience) }

// openCalm is for tests of what happens while Redis comes and goes: what its
// answers decide must not hang on 50 ms of a machine.
func openCalm(t *testing.T, url string, n int) []*Client { return openAll(t, url, n, time.Second) }

func openAll(t *testing.T, url string, n int, budget time.Duration) []*Client {
	t.Helper()
	key := testKey()
	var clients []*Client
	for range n {
		c, err := openWithin(t.Context(), Options{URL: url, Key: key, Logger: slog.New(slog.DiscardHandler)}, budget)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, c.Close()) })
		clients = append(clients, c)
	}
	return clients
}

func ready(t *testing.T, clients ...*Client) {
	t.Helper()
	for _, c := range clients {
		require.Eventually(t, func() bool { return c.Ready(context.Background()) == nil }, patience, 10*time.Millisecond)
	}
}

func degraded(t *testing.T, clients ...*Client) {
	t.Helper()
	for _, c := range clients {
		require.Eventually(t, func() bool { return c.Ready(context.Background()) != nil }, patience, 10*time.Millisecond)
	}
}

// shared waits until a limit that one has reached holds at the other: a question
// that took longer than its budget was answered by its process alone.
func shared(t *testing.T, one, other *Client) {
	t.Helper()
	require.Eventually(t, func() bool {
		key := rand.Text()
		return one.Take(t.Context(), key, 1, time.Hour).Allowed && !other.Take(t.Context(), key, 1, time.Hour).Allowed
	}, patience, 10*time.Millisecond, "limits are shared")
}

func (c *Client) errorsOf(ops ...op) (n uint64) {
	for _, op := range ops {
		n += c.errors[op].Get()
	}
	return n
}

// contract holds two replicas at the URL to the contract; an error of Redis
// would hide behind what answers for it.
func contract(t *testing.T, url string) {
	volatiletest.Run(t, func(t *testing.T) []volatiletest.Replica {
		var replicas []volatiletest.Replica
		for _, c := range openPatient(t, url, 2) {
			require.NoError(t, c.Ready(t.Context()))
			t.Cleanup(func() {
				require.Zero(t, c.errorsOf(opLimit, opQuotaGet, opQuotaSet, opCacheGet, opCacheSet, opCacheDelete, opPublish))
			})
			replicas = append(replicas, volatiletest.Replica{Limiter: c, Quota: c, Bus: c, Cache: c})
		}
		return replicas
	})
}

func TestStandalone(t *testing.T) {
	server := redistest.Standalone(t)
	contract(t, server.URL())
	keys, _ := server.Do("KEYS", "*").([]any)
	require.NotEmpty(t, keys)
	for _, key := range keys {
		require.Regexp(t, `^agentidp:(limit|quota|cache|probe):\{[A-Za-z0-9_-]{22}\}$`, key)
		require.NotEqual(t, int64(-1), server.Do("PTTL", key), "%s lives for ever", key)
	}
}

func TestUnixSocket(t *testing.T) {
	path := t.TempDir() + "/redis.sock"
	redistest.Start(t, "--unixsocket", path, "--unixsocketperm", "700")
	require.NoError(t, openPatient(t, "unix://"+path+"?db=3", 1)[0].Ready(t.Context()))
}

func TestCluster(t *testing.T) {
	nodes := redistest.Cluster(t)
	contract(t, nodes.URL())
	for _, node := range nodes {
		require.NotZero(t, node.Do("DBSIZE"), "each has a share")
	}
}

// The contract holds, the master dies, and holds again.
func TestSentinel(t *testing.T) {
	servers := redistest.Sentinel(t)
	contract(t, servers.URL())
	clients := openCalm(t, servers.URL(), 2)
	before, after := clients[0], clients[1]
	ready(t, before, after)
	topic := "revocations"
	changed, stop := after.Subscribe(topic)
	defer stop()

	servers.Quorum(9) // nobody takes over before everybody has seen that the master is gone
	killed := servers.Failover()
	degraded(t, before, after)
	for range 3 {
		require.True(t, before.Take(t.Context(), "a", 3, time.Hour).Allowed)
	}
	require.False(t, before.Take(t.Context(), "a", 3, time.Hour).Allowed, "the limit holds per process")
	servers.Quorum(2)
	start := time.Now()
	ready(t, before, after)
	t.Logf("healed %v after the sentinels agreed", time.Since(start).Round(time.Millisecond))
	shared(t, before, after)
	require.Eventually(t, func() bool { before.Publish(t.Context(), topic); return len(changed) > 0 }, patience, 20*time.Millisecond)
	killed.Start() // comes back believing to be master, until the sentinels tell it
	require.Eventually(t, func() bool {
		reply, err := killed.Try("ROLE")
		list, _ := reply.([]any)
		return err == nil && len(list) > 0 && list[0] == "slave"
	}, redistest.Patience, 50*time.Millisecond)
	contract(t, servers.URL())
}

func TestOptions(t *testing.T) {
	_, err := Open(t.Context(), Options{URL: "redis://:secret@host:port", Key: testKey()})
	require.ErrorContains(t, err, "redis url: host 1 of 1")
	require.NotContains(t, err.Error(), "secret")
	_, err = Open(t.Context(), Options{URL: "redis://localhost", Key: make([]byte, KeySize-1)})
	require.EqualError(t, err, "redis: key must have at least 32 bytes, has 31")
}

// A password that is wrong is trouble of Redis, not of the options, and is not told.
func TestAuthentication(t *testing.T) {
	server := redistest.Start(t, "--requirepass", "right")
	set := metrics.NewSet()
	c, err := Open(t.Context(), Options{URL: "redis://:wrongsecret@" + server.Addr, Key: testKey(), Metrics: set, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	defer c.Close()
	require.Eventually(t, func() bool { return strings.Contains(c.Ready(t.Context()).Error(), "WRONGPASS") }, patience, 10*time.Millisecond)
	require.NotContains(t, c.Ready(t.Context()).Error(), "secret")
	require.ErrorContains(t, openPatient(t, server.URL(), 1)[0].Ready(t.Context()), "NOAUTH")
	require.NoError(t, openPatient(t, "redis://:right@"+server.Addr+"/2", 1)[0].Ready(t.Context()))
	require.NoError(t, openPatient(t, "redis://default:right@"+server.Addr, 1)[0].Ready(t.Context()))
}
