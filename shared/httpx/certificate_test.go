package httpx_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
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
)

// authority issues certificates for 127.0.0.1.
type authority struct {
	t    *testing.T
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	pool *x509.CertPool
	last int64
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, pool: x509.NewCertPool(), last: 1}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
	}
	a.key = newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	require.NoError(t, err)
	a.cert, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	a.pool.AddCert(a.cert)
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return key
}

// issue gives a certificate and its key in PEM.
func (a *authority) issue(from, until time.Time) (cert, key []byte) {
	a.t.Helper()
	a.last++
	own := newKey(a.t)
	template := &x509.Certificate{SerialNumber: big.NewInt(a.last), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: from, NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &own.PublicKey, a.key)
	require.NoError(a.t, err)
	private, err := x509.MarshalPKCS8PrivateKey(own)
	require.NoError(a.t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
}

func (a *authority) good() (cert, key []byte) {
	return a.issue(time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
}

// certified is a pair on disk that a TLS serves.
type certified struct {
	t         *testing.T
	authority *authority
	cert, key string
	tls       *httpx.TLS
	tick      chan time.Time
	logs      *logBuffer
	metrics   *metrics.Set
	late      atomic.Int64 // how much later it is
}

func newCertified(t *testing.T) *certified {
	t.Helper()
	dir := t.TempDir()
	c := &certified{
		t: t, authority: newAuthority(t), cert: filepath.Join(dir, "tls.crt"), key: filepath.Join(dir, "tls.key"),
		tick: make(chan time.Time), logs: &logBuffer{}, metrics: metrics.NewSet(),
	}
	c.write(c.authority.good())
	var err error
	c.tls, err = httpx.OpenTLS(httpx.TLSOptions{
		CertFile: c.cert, KeyFile: c.key, Tick: c.tick, Now: func() time.Time { return time.Now().Add(time.Duration(c.late.Load())) },
		Logger: slog.New(slog.NewTextHandler(c.logs, nil)), Metrics: c.metrics,
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var run sync.WaitGroup
	run.Go(func() { c.tls.Run(ctx) })
	t.Cleanup(func() { cancel(); run.Wait() })
	return c
}

func (c *certified) write(cert, key []byte) {
	c.t.Helper()
	for path, content := range map[string][]byte{c.cert: cert, c.key: key} {
		require.NoError(c.t, os.WriteFile(path+".new", content, 0o600))
		require.NoError(c.t, os.Rename(path+".new", path))
	}
}

// look makes the poll look, and waits until it has.
func (c *certified) look() {
	c.tick <- time.Now()
	c.tick <- time.Now() // taken when the first is done
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
	return tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", addr, &tls.Config{RootCAs: c.authority.pool, NextProtos: []string{"h2", "http/1.1"}})
}

// serial is that of the certificate a new connection gets.
func (c *certified) serial(addr string) int64 {
	c.t.Helper()
	conn, err := c.dial(addr)
	require.NoError(c.t, err)
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}
