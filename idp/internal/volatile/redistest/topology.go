package redistest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// Standalone starts one server; with TEST_REDIS_URL set it is that one, empty,
// which cannot be stopped or paused.
func Standalone(t testing.TB) *Server {
	t.Helper()
	given := os.Getenv("TEST_REDIS_URL")
	if given == "" {
		return Start(t)
	}
	o, err := redis.ParseURL(given)
	require.NoError(t, err)
	require.Empty(t, o.Password, "TEST_REDIS_URL is used without a password")
	s := &Server{Addr: o.Addr, t: t}
	s.FlushAll()
	return s
}

// Start starts one server of the test's own, with more settings if need be.
func Start(t testing.TB, settings ...string) *Server {
	t.Helper()
	return start(t, "redis-server", settings...)
}

// master is the name of the master under Sentinel.
const master = "agentidp"

// Failover is a master, a replica and three sentinels.
type Failover struct {
	Nodes     [2]*Server // the master at the start is the first
	Sentinels [3]*Server
	t         testing.TB
}

// Sentinel starts a Failover and waits until the sentinels know each other and the replica.
func Sentinel(t testing.TB) *Failover {
	t.Helper()
	f := &Failover{t: t}
	f.Nodes[0] = Start(t)
	host, port, _ := strings.Cut(f.Nodes[0].Addr, ":")
	f.Nodes[1] = Start(t, "--replicaof", host+" "+port, "--repl-diskless-sync-delay", "0")
	for i := range f.Sentinels {
		s := start(t, "redis-sentinel")
		// By default a sentinel looks at a node every ten seconds, lets what it sees stand for
		// eight, and does nothing for thirty after a stall of its own: more than a test waits for.
		s.Do("SENTINEL", "DEBUG", "info-period", 500, "publish-period", 500, "tilt-period", 2000, "min-link-reconnect-period", 1000)
		s.Do("SENTINEL", "MONITOR", master, host, port, 2)
		s.Do("SENTINEL", "SET", master, "down-after-milliseconds", 1000)
		s.Do("SENTINEL", "SET", master, "failover-timeout", 3000)
		f.Sentinels[i] = s
	}
	t.Cleanup(f.explain)
	require.Eventually(t, func() bool {
		for _, s := range f.Sentinels {
			if _, err := s.Try("SENTINEL", "CKQUORUM", master); err != nil || !strings.Contains(s.info("sentinel", "master0"), "slaves=1,sentinels=3") {
				return false
			}
		}
		return f.Nodes[1].info("replication", "master_link_status") == "up"
	}, Patience, 50*time.Millisecond)
	return f
}

// explain prints what the sentinels did in a test that failed.
func (f *Failover) explain() {
	if !f.t.Failed() {
		return
	}
	for _, s := range append(f.Sentinels[:], f.Nodes[:]...) {
		log, err := os.ReadFile(filepath.Join(s.folder, "log"))
		f.t.Logf("%s %v\n%s", s.Addr, err, log)
	}
}

// URL is how a client finds the master.
func (f *Failover) URL() string {
	var hosts []string
	for _, s := range f.Sentinels {
		hosts = append(hosts, s.Addr)
	}
	return fmt.Sprintf("redis+sentinel://%s/%s/0", strings.Join(hosts, ","), master)
}

// Master is the node that takes writes; nil if none does.
func (f *Failover) Master() *Server {
	for _, s := range f.Nodes {
		if s.process != nil && s.info("replication", "role") == "master" {
			return s
		}
	}
	return nil
}

// Quorum is how many sentinels must agree that the master is gone.
func (f *Failover) Quorum(n int) {
	f.t.Helper()
	for _, s := range f.Sentinels {
		s.Do("SENTINEL", "SET", master, "quorum", n)
	}
}

// Failover kills the master and returns it, at once: the sentinels will notice.
func (f *Failover) Failover() (killed *Server) {
	f.t.Helper()
	killed = f.Master()
	require.NotNil(f.t, killed)
	killed.Stop()
	return killed
}

// Nodes is a Redis Cluster.
type Nodes [3]*Server

// Cluster starts three masters that share the slots, and waits until each says so.
func Cluster(t testing.TB) Nodes {
	t.Helper()
	var nodes Nodes
	for i := range nodes {
		nodes[i] = Start(t, "--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
	}
	const slots = 16384
	host, port, _ := strings.Cut(nodes[0].Addr, ":")
	for i, s := range nodes {
		s.Do("CLUSTER", "ADDSLOTSRANGE", i*slots/len(nodes), (i+1)*slots/len(nodes)-1)
		s.Do("CLUSTER", "SET-CONFIG-EPOCH", i+1)
		if i > 0 {
			s.Do("CLUSTER", "MEET", host, port)
		}
	}
	require.Eventually(t, func() bool {
		for _, s := range nodes {
			reply, _ := s.Try("CLUSTER", "INFO") // not yet is fine
			text, _ := reply.(string)
			if !strings.Contains(text, "cluster_state:ok") || !strings.Contains(text, "cluster_known_nodes:3") {
				return false
			}
		}
		return true
	}, Patience, 50*time.Millisecond)
	return nodes
}

// URL is how a client finds the nodes.
func (n Nodes) URL() string {
	return fmt.Sprintf("redis+cluster://%s,%s,%s", n[0].Addr, n[1].Addr, n[2].Addr)
}
