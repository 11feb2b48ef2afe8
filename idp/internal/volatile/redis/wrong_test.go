package redis

import (
	"bufio"
	"bytes"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/volatile/local"
	"github.com/sentryagent/agentidp/idp/internal/volatile/redistest"
	"github.com/sentryagent/agentidp/shared/httpx/tlstest"
)

// pretend answers every command but greeting and PING with the reply, %s in it
// being its own address; with none it never answers.
func pretend(t *testing.T, reply string) (addr string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	addr = l.Addr().String()
	reply = strings.ReplaceAll(reply, "%s", addr)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				in := bufio.NewReader(conn)
				for {
					command, err := readCommand(in)
					if err != nil {
						return
					}
					switch strings.ToUpper(command) {
					case "HELLO":
						_, _ = conn.Write([]byte("*0\r\n"))
					case "PING":
						_, _ = conn.Write([]byte("+PONG\r\n"))
					default:
						_, _ = conn.Write([]byte(reply))
					}
				}
			}()
		}
	}()
	return addr
}

// Whatever answers at the address, calls are answered by the process.
func TestWrongServers(t *testing.T) {
	for _, reply := range []string{
		"", "+OK\r\n", "$-1\r\n", "*-1\r\n", "*0\r\n", ":1\r\n", "*4\r\n:1\r\n:99\r\n:1\r\n:0\r\n", "$536870913\r\nx\r\n", "*1000000000\r\n",
		"-MOVED 1 %s\r\n", "-ASK 1 %s\r\n", "-READONLY You can't write\r\n", "-LOADING Redis is loading\r\n", "-NOAUTH Authentication required.\r\n",
		"-OOM command not allowed\r\n", "-MASTERDOWN Link with MASTER is down\r\n", "-CLUSTERDOWN The cluster is down\r\n", "-TRYAGAIN\r\n",
		"-NOSCRIPT No matching script\r\n", "-BUSY Redis is busy\r\n", "-\r\n", "HTTP/1.1 400 Bad Request\r\n\r\n", "\x15\x03\x01\x00\x02\x02\x16",
	} {
		for _, scheme := range []string{"redis://", "redis+cluster://", "redis+sentinel://"} {
			t.Run(fmt.Sprintf("%s %q", scheme, reply), func(t *testing.T) {
				url := scheme + pretend(t, reply)
				if scheme == "redis+sentinel://" {
					url += "/master"
				}
				c := open(t, url, 1)[0]
				require.Error(t, c.Ready(t.Context()))
				changed, stop := c.Subscribe("t")
				defer stop()
				c.breaker.probed(nil, time.Now())
				start := time.Now()
				for range 3 {
					require.True(t, c.Take(t.Context(), "a", 3, time.Hour).Allowed)
				}
				require.False(t, c.Take(t.Context(), "a", 3, time.Hour).Allowed)
				c.Set(t.Context(), "k", []byte("v"), time.Hour)
				value, ok := c.Get(t.Context(), "k")
				require.Equal(t, "v", string(value), ok)
				require.False(t, c.Exceeded(t.Context(), "agent", 1, start))
				c.Publish(t.Context(), "t")
				<-changed
				require.Eventually(t, func() bool {
					c.breaker.probed(nil, time.Now()) // as if it had been well once
					return c.Take(t.Context(), "b", 1<<16, time.Hour).Allowed && c.errorsOf(opLimit) > 0
				}, patience, time.Millisecond)
			})
		}
	}
}

// Where this process has no place left for a key, Redis counts it alone; and
// without Redis it shares the overflow.
func TestMoreKeysThanPlaces(t *testing.T) {
	server := redistest.Start(t)
	c := openPatient(t, server.URL(), 1)[0]
	ready(t, c)
	c.near.Limiter = local.NewLimiter(local.LimiterOptions{MaxKeys: 1})
	for i := range 1000 {
		require.True(t, c.Take(t.Context(), fmt.Sprint(i), 1, time.Hour).Allowed)
		require.False(t, c.Take(t.Context(), fmt.Sprint(i), 1, time.Hour).Allowed)
	}
	require.Zero(t, c.near.Overflowed())
	server.Stop()
	degraded(t, c)
	allowed := 0
	for i := range 1000 {
		if c.Take(t.Context(), fmt.Sprint("more", i), 1, time.Hour).Allowed {
			allowed++
		}
	}
	require.Equal(t, 64, allowed, "an answer of this process, within its bounds")
	for range 3 {
		require.False(t, c.Take(t.Context(), "more0", 1, time.Hour).Allowed)
	}
}

// A Redis that hangs, with no place left here, costs a call its budget and is
// answered for: within the local bounds, in bounded memory.
func TestMoreKeysThanPlacesWhileRedisHangs(t *testing.T) {
	server := redistest.Start(t)
	c := open(t, server.URL(), 1)[0]
	ready(t, c)
	c.near.Limiter = local.NewLimiter(local.LimiterOptions{MaxKeys: 1})
	for i := range 1000 {
		c.Take(t.Context(), fmt.Sprint(i), 2, time.Hour)
	}
	overflowed := c.near.Overflowed()
	server.Pause()
	defer server.Resume()
	allowed := 0
	for i := range 1000 {
		for range 3 {
			if c.Take(t.Context(), fmt.Sprint("more", i), 2, time.Hour).Allowed {
				allowed++
			}
		}
	}
	require.LessOrEqual(t, allowed, 64*2)
	require.NotZero(t, allowed)
	require.LessOrEqual(t, c.near.Limiter.Keys(), 64)
	require.EqualValues(t, 3000, c.near.Overflowed()-overflowed)
}

func TestMetricsAndLog(t *testing.T) {
	server := redistest.Start(t)
	set, log := metrics.NewSet(), new(bytes.Buffer)
	c, err := openWithin(t.Context(), Options{URL: server.URL(), Key: testKey(), Metrics: set, Logger: slog.New(slog.NewTextHandler(log, nil))}, patience)
	require.NoError(t, err)
	shown := func() string {
		var text bytes.Buffer
		set.WritePrometheus(&text)
		return text.String()
	}
	require.Contains(t, shown(), "agentidp_redis_up 1\n")
	for _, op := range []string{"limit", "quota_get", "quota_set", "cache_get", "cache_set", "cache_delete", "publish", "subscribe", "probe"} {
		require.Contains(t, shown(), fmt.Sprintf("agentidp_redis_errors_total{op=%q} 0\n", op))
	}
	server.Stop()
	degraded(t, c)
	require.Contains(t, shown(), "agentidp_redis_up 0\n")
	require.NotContains(t, shown(), `agentidp_redis_errors_total{op="probe"} 0`)
	server.Start()
	ready(t, c)
	require.NoError(t, c.Close())
	require.Contains(t, log.String(), "level=WARN")
	require.Contains(t, log.String(), "redis answers")
	require.True(t, c.Take(t.Context(), "a", 1, time.Hour).Allowed, "after Close this process answers")
	require.False(t, c.Take(t.Context(), "a", 1, time.Hour).Allowed)
}

// secured is a server with TLS, and where that is.
func secured(t *testing.T, authority *tlstest.Authority, more ...string) (server *redistest.Server, addr string) {
	t.Helper()
	port, folder := redistest.FreePort(t), t.TempDir()
	certificate, key := folder+"/certificate", folder+"/key"
	authority.Write(certificate, key)
	args := append([]string{"--tls-port", port, "--tls-cert-file", certificate, "--tls-key-file", key, "--tls-auth-clients", "no"}, more...)
	return redistest.Start(t, args...), "127.0.0.1:" + port
}

// The system's roots are read once in a process: no other test may verify by them.
func TestTLS(t *testing.T) {
	trusted := tlstest.NewAuthority(t)
	t.Setenv("SSL_CERT_FILE", trusted.File)
	server, addr := secured(t, trusted)
	c := openPatient(t, "rediss://"+addr, 1)[0]
	require.NoError(t, c.Ready(t.Context()))
	require.Error(t, openPatient(t, "redis://"+addr, 1)[0].Ready(t.Context()), "no TLS")
	_, other := secured(t, tlstest.NewAuthority(t))
	require.ErrorContains(t, openPatient(t, "rediss://"+other, 1)[0].Ready(t.Context()), "x509")

	// One probe finds every connection that the restart ended.
	var held []*redis.Conn
	for range 20 {
		conn := c.rdb.UniversalClient.(*redis.Client).Conn()
		require.NoError(t, conn.Ping(t.Context()).Err())
		held = append(held, conn)
	}
	for _, conn := range held {
		require.NoError(t, conn.Close())
	}
	require.Greater(t, c.rdb.PoolStats().IdleConns, uint32(5))
	server.Stop()
	server.Start()
	require.NoError(t, c.rdb.try(t.Context()))
}

func TestAuthorities(t *testing.T) {
	ours, others := tlstest.NewAuthority(t), tlstest.NewAuthority(t)
	_, addr := secured(t, ours)
	_, member := secured(t, ours, "--cluster-enabled", "yes")
	for name, fact := range map[string]struct {
		url         string
		authorities *x509.CertPool
		reason      string
	}{
		"one server":           {"rediss://" + addr, ours.Pool, ""},
		"one server, a double": {"rediss://" + addr, others.Pool, "x509"},
		"cluster, not a slot":  {"rediss+cluster://" + member, ours.Pool, "CLUSTERDOWN"}, // it was understood
		"cluster, a double":    {"rediss+cluster://" + member, others.Pool, "x509"},
		"sentinel, a double":   {"rediss+sentinel://" + addr + "/m", others.Pool, "x509"},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := openWithin(t.Context(), Options{URL: fact.url, Key: testKey(), Authorities: fact.authorities, Logger: slog.New(slog.DiscardHandler)}, patience)
			require.NoError(t, err)
			defer c.Close()
			if fact.reason == "" {
				require.NoError(t, c.Ready(t.Context()))
			} else {
				require.ErrorContains(t, c.Ready(t.Context()), fact.reason)
			}
		})
	}
}

func TestBoundedReplies(t *testing.T) {
	for stream, fine := range map[string]bool{
		"+OK\r\n:1\r\n-ERR\r\n_\r\n$-1\r\n*-1\r\n*0\r\n":                             true,
		"*2\r\n$3\r\n\n\r$\r\n:1\r\n%1\r\n+a\r\n=4\r\ntxt:\r\n":                      true,
		strings.Repeat("*1\r\n", maxDepth) + ":1\r\n":                                true,
		strings.Repeat("*1\r\n", maxDepth+1) + ":1\r\n":                              false,
		strings.Repeat("*2\r\n:1\r\n", maxDepth+1):                                   false, // a leaf in between is no way out
		strings.Repeat("*1\r\n|0\r\n", maxDepth+1):                                   false, // nor an attribute
		strings.Repeat("*2\r\n*0\r\n", maxDepth) + ":1\r\n":                          true,
		"*2\r\n*1\r\n:1\r\n" + strings.Repeat("*1\r\n", maxDepth-1) + ":1\r\n:1\r\n": true,
		strings.Repeat(strings.Repeat("*2\r\n:1\r\n", 3)+":1\r\n", 100):              true, // replies one after the other
		fmt.Sprintf("*%d\r\n", maxElements) + strings.Repeat(fmt.Sprintf("*%d\r\n%s", maxElements, strings.Repeat(":1\r\n", maxElements)), maxTotal/maxElements): false,
		fmt.Sprintf("*%d\r\n", maxElements):         true,
		fmt.Sprintf("*%d\r\n", maxElements+1):       false,
		fmt.Sprintf("$%d\r\n", maxString):           true,
		fmt.Sprintf("$%d\r\n", maxString+1):         false,
		"+" + strings.Repeat("x", maxLine) + "\r\n": false,
		"+" + strings.Repeat("x", maxLine):          false,
		"*x\r\n":                                    false, "$\r\n": false, "\r\n": false, "HTTP/1.1 200 OK\r\n": false, "$1\r\nxyz\r\n": false,
	} {
		whole, pieces := &boundedConn{}, &boundedConn{}
		require.Equal(t, fine, whole.inspect([]byte(stream)), "%.40q", stream)
		held := true
		for i := 0; i < len(stream) && held; i++ {
			held = pieces.inspect([]byte{stream[i]})
		}
		require.Equal(t, fine, held, "%.40q", stream)
	}
}
