package app_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
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
	"github.com/sentryagent/agentidp/shared/obs"
)

// certify writes a fresh certificate for loopback and returns it.
func certify(t *testing.T, certFile, keyFile string) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<60))
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "idp"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	require.NoError(t, os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	made, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return made
}

// ask gets over TLS, trusting that certificate alone.
func ask(target string, trusted *x509.Certificate) (*http.Response, error) {
	roots := x509.NewCertPool()
	roots.AddCert(trusted)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}, Timeout: 5 * time.Second}
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
	log := &output{}
	logger, err := obs.NewLogger(log, obs.FormatJSON, nil)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	a, err := app.New(ctx, cfg, app.Options{Logger: logger})
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
