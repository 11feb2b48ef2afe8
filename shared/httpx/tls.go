package httpx

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"
)

const (
	defaultCertificateEvery = 30 * time.Second
	maxCertificateFile      = 1 << 20 // bytes
)

// TLSOptions name a certificate. Both files are required; a zero value of the
// rest takes its default.
type TLSOptions struct {
	CertFile string // PEM, the leaf first, then the chain
	KeyFile  string // PEM, unencrypted

	Every   time.Duration    // between looks at the files; default 30 s
	Tick    <-chan time.Time // looks at each tick instead of Every
	Now     func() time.Time // default time.Now
	Logger  *slog.Logger     // default slog.Default()
	Metrics *metrics.Set     // default a set nobody reads
	Prefix  string           // of the metrics' names; default agentidp_tls
}

func (o TLSOptions) withDefaults() TLSOptions {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Metrics == nil {
		o.Metrics = metrics.NewSet()
	}
	if o.Prefix == "" {
		o.Prefix = "agentidp_tls"
	}
	o.Every = positive(o.Every, defaultCertificateEvery)
	return o
}

// TLS holds a certificate that can be replaced while connections come and go:
// new handshakes get the new one, connections stay. Safe for concurrent use.
type TLS struct {
	opts     TLSOptions
	serving  atomic.Pointer[pair] // never nil
	failures *metrics.Counter

	mu     sync.Mutex // one load at a time; guards what follows
	failed string     // how the latest load failed; "" when it did not
}

// pair is a certificate and the files it came from.
type pair struct {
	certificate *tls.Certificate
	source      [sha256.Size]byte
}

// OpenTLS loads the pair and refuses one that no client would accept: half a
// pair, a key of another certificate, a certificate out of its time.
func OpenTLS(o TLSOptions) (*TLS, error) {
	o = o.withDefaults()
	if o.CertFile == "" || o.KeyFile == "" {
		return nil, errors.New("TLS certificate: both the certificate's and the key's file are needed")
	}
	first, err := loadPair(o)
	if err != nil {
		return nil, err
	}
	t := &TLS{opts: o, failures: o.Metrics.NewCounter(o.Prefix + "_reload_failures_total")}
	t.serving.Store(first)
	o.Metrics.NewGauge(o.Prefix+"_reload_failing", t.failing)
	o.Metrics.NewGauge(o.Prefix+"_certificate_expires_seconds", func() float64 { return t.Expires().Sub(o.Now()).Seconds() })
	return t, nil
}

// Config is what a listener serves with. Go's choice of cipher suites and curves
// is the current one; fasthttp speaks HTTP/1.1 only.
func (t *TLS) Config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return t.serving.Load().certificate, nil },
	}
}

// ClientCertificate presents the certificate to servers, as
// tls.Config.GetClientCertificate.
func (t *TLS) ClientCertificate(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	return t.serving.Load().certificate, nil
}

// Authorities reads the CA certificates that a client of ours is to trust.
func Authorities(file string) (*x509.CertPool, error) {
	content, err := readFile(file)
	if err != nil {
		return nil, fmt.Errorf("CA certificates: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(content) {
		return nil, fmt.Errorf("CA certificates: %s holds no certificate in PEM", file)
	}
	return pool, nil
}

// Expires is the end of the leaf's time.
func (t *TLS) Expires() time.Time { return t.serving.Load().certificate.Leaf.NotAfter }

// Reload loads the files now. On an error the certificate in force stays, and
// the error is logged and counted.
func (t *TLS) Reload(ctx context.Context) error { return t.load(ctx, true) }

// load is loud, or else tells of the same trouble once.
func (t *TLS) load(ctx context.Context, loud bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	next, err := loadPair(t.opts)
	if err != nil {
		if text := err.Error(); loud || text != t.failed {
			t.failed = text
			t.failures.Inc()
			t.opts.Logger.ErrorContext(ctx, "TLS certificate not reloaded, the old one stays", "error", err, "expires", t.Expires())
		}
		return err
	}
	t.failed = ""
	if next.source != t.serving.Load().source {
		t.serving.Store(next)
		t.opts.Logger.InfoContext(ctx, "TLS certificate reloaded", "expires", t.Expires())
	}
	return nil
}

// Run looks at the files until ctx ends, so that whoever renews them need not
// tell us.
func (t *TLS) Run(ctx context.Context) {
	tick := t.opts.Tick
	if tick == nil {
		ticker := time.NewTicker(t.opts.Every)
		defer ticker.Stop()
		tick = ticker.C
	}
	for {
		select {
		case <-tick:
			_ = t.load(ctx, false) // logged and counted there
		case <-ctx.Done():
			return
		}
	}
}

func (t *TLS) failing() float64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.failed != "" {
		return 1
	}
	return 0
}

// loadPair reads the files. No error holds any of their content.
func loadPair(o TLSOptions) (*pair, error) {
	certPEM, err := readFile(o.CertFile)
	if err != nil {
		return nil, fmt.Errorf("TLS certificate: %w", err)
	}
	keyPEM, err := readFile(o.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("TLS key: %w", err)
	}
	certificate, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("TLS certificate %s with key %s: %w", o.CertFile, o.KeyFile, err)
	}
	switch now := o.Now(); {
	case now.After(certificate.Leaf.NotAfter):
		return nil, fmt.Errorf("TLS certificate %s expired at %s", o.CertFile, certificate.Leaf.NotAfter.UTC().Format(time.RFC3339))
	case now.Before(certificate.Leaf.NotBefore):
		return nil, fmt.Errorf("TLS certificate %s is not valid before %s", o.CertFile, certificate.Leaf.NotBefore.UTC().Format(time.RFC3339))
	}
	return &pair{&certificate, sha256.Sum256(bytes.Join([][]byte{certPEM, keyPEM}, []byte{0}))}, nil
}

func readFile(path string) (_ []byte, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	content, err := io.ReadAll(io.LimitReader(file, maxCertificateFile+1))
	if err == nil && len(content) > maxCertificateFile {
		err = fmt.Errorf("%s is longer than %d bytes", path, maxCertificateFile)
	}
	return content, err
}

// shakingHands reports a TLS connection whose handshake never came to its end.
func shakingHands(c net.Conn) bool {
	secured, ok := below[*tls.Conn](c)
	return ok && !secured.ConnectionState().HandshakeComplete
}
