package httpx_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/httpx"
	"github.com/sentryagent/agentidp/shared/httpx/tlstest"
	"github.com/sentryagent/agentidp/shared/obs/obstest"
)

// certified is a pair on disk that a TLS serves.
type certified struct {
	t         *testing.T
	authority *tlstest.Authority
	cert, key string
	tls       *httpx.TLS
	tick      chan time.Time
	logs      *obstest.Output
	metrics   *metrics.Set
	late      atomic.Int64 // how much later it is
}

func newCertified(t *testing.T) *certified {
	t.Helper()
	dir := t.TempDir()
	c := &certified{
		t: t, authority: tlstest.NewAuthority(t), cert: filepath.Join(dir, "tls.crt"), key: filepath.Join(dir, "tls.key"),
		tick: make(chan time.Time), logs: &obstest.Output{}, metrics: metrics.NewSet(),
	}
	c.write(c.authority.Good())
	var err error
	c.tls, err = httpx.OpenTLS(httpx.TLSOptions{
		CertFile: c.cert, KeyFile: c.key, Tick: c.tick, Now: func() time.Time { return time.Now().Add(time.Duration(c.late.Load())) },
		Logger: slog.New(slog.NewTextHandler(c.logs, nil)), Metrics: c.metrics,
	})
	require.NoError(t, err)
	return c
}

func (c *certified) write(cert, key []byte) {
	c.t.Helper()
	c.put(c.cert, cert)
	c.put(c.key, key)
}

func (c *certified) put(path string, content []byte) {
	c.t.Helper()
	require.NoError(c.t, os.WriteFile(path+".new", content, 0o600))
	require.NoError(c.t, os.Rename(path+".new", path))
}

// look makes the poll look twice. It ends with it, for what is written next would
// else be seen by half.
func (c *certified) look() {
	ctx, cancel := context.WithCancel(context.Background())
	var run sync.WaitGroup
	run.Go(func() { c.tls.Run(ctx) })
	c.tick <- time.Now()
	c.tick <- time.Now() // taken when the first is done
	cancel()
	run.Wait()
}

func (c *certified) metric(name string) string {
	var b bytes.Buffer
	c.metrics.WritePrometheus(&b)
	for line := range strings.Lines(b.String()) {
		if value, found := strings.CutPrefix(line, name+" "); found {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func (c *certified) dial(addr string) (*tls.Conn, error) {
	return tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", addr, &tls.Config{RootCAs: c.authority.Pool, NextProtos: []string{"h2", "http/1.1"}})
}

// serial is that of the certificate a new connection gets.
func (c *certified) serial(addr string) int64 {
	c.t.Helper()
	conn, err := c.dial(addr)
	require.NoError(c.t, err)
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}
