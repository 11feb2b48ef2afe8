package app_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/app"
	"github.com/sentryagent/agentidp/shared/httpx/tlstest"
	"github.com/sentryagent/agentidp/shared/obs"
	"github.com/sentryagent/agentidp/shared/obs/obstest"
)

// certify writes a fresh certificate for loopback and returns who vouches for it alone.
func certify(t *testing.T, certFile, keyFile string) *x509.CertPool {
	t.Helper()
	authority := tlstest.NewAuthority(t)
	authority.Write(certFile, keyFile)
	return authority.Pool
}

// ask gets over TLS.
func ask(target string, roots *x509.CertPool) (*http.Response, error) {
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}, Timeout: time.Minute}
	answer, err := client.Get(target)
	if err == nil {
		_, _ = io.Copy(io.Discard, answer.Body)
		err = answer.Body.Close()
	}
	return answer, err
}

func TestTLSReloadAndSpans(t *testing.T) {
	var exported atomic.Int64
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.URL.Path == "/v1/traces" && strings.Contains(string(body), "getHealth") {
			exported.Add(1)
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	defer collector.Close()

	cfg := settings(t)
	folder := t.TempDir()
	cfg.TLSCert, cfg.TLSKey = filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	cfg.OTLPEndpoint = collector.URL
	first := certify(t, cfg.TLSCert, cfg.TLSKey)
	log := &obstest.Output{}
	logger, err := obs.NewLogger(log, obs.FormatJSON, nil)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	a, err := app.New(ctx, cfg, app.Options{Logger: logger, Policy: patient})
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	require.True(t, strings.HasPrefix(a.Issuer(), "https://"), a.Issuer())
	var answer *http.Response
	eventually(t, "it serves over TLS", func() bool {
		answer, err = ask(a.Issuer()+"/health", first)
		return err == nil && answer.StatusCode == http.StatusOK
	})
	require.NotEmpty(t, answer.Header.Get("Strict-Transport-Security"))

	second := certify(t, cfg.TLSCert, cfg.TLSKey)
	a.Reload(ctx)
	_, err = ask(a.Issuer()+"/health", first)
	require.Error(t, err, "the new certificate is in use")
	_, err = ask(a.Issuer()+"/health", second)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(cfg.TLSCert, []byte("no certificate"), 0o600))
	a.Reload(ctx)
	_, err = ask(a.Issuer()+"/health", second)
	require.NoError(t, err, "a bad one changes nothing")

	cancel()
	require.NoError(t, <-ended)
	http.DefaultClient.CloseIdleConnections()
	require.Positive(t, exported.Load(), "the last spans go out at the end")
}
