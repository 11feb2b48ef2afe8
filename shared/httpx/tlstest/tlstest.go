// Package tlstest makes certificates for tests. Every Authority is trusted by
// whoever is given its Pool or File, and by nobody else.
package tlstest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Authority issues certificates for 127.0.0.1, good for servers and clients. One
// goroutine at a time may use it.
type Authority struct {
	Pool *x509.CertPool // its own certificate
	File string         // the same, in PEM

	t    testing.TB
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	last int64 // serial number
}

// NewAuthority makes one that is gone with the test.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	a := &Authority{t: t, Pool: x509.NewCertPool(), File: filepath.Join(t.TempDir(), "ca.pem"), key: newKey(t), last: 1}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(a.last), Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	require.NoError(t, err)
	a.cert, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	a.Pool.AddCert(a.cert)
	require.NoError(t, os.WriteFile(a.File, encode("CERTIFICATE", der), 0o600))
	return a
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return key
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// Issue gives a certificate and its key in PEM.
func (a *Authority) Issue(from, until time.Time) (cert, key []byte) {
	a.t.Helper()
	a.last++
	own := newKey(a.t)
	template := &x509.Certificate{SerialNumber: big.NewInt(a.last), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: from, NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &own.PublicKey, a.key)
	require.NoError(a.t, err)
	private, err := x509.MarshalPKCS8PrivateKey(own)
	require.NoError(a.t, err)
	return encode("CERTIFICATE", der), encode("PRIVATE KEY", private)
}

// Good is Issue for now and an hour around.
func (a *Authority) Good() (cert, key []byte) {
	a.t.Helper()
	return a.Issue(time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
}

// Pair is Good for a tls.Config.
func (a *Authority) Pair() tls.Certificate {
	a.t.Helper()
	pair, err := tls.X509KeyPair(a.Good())
	require.NoError(a.t, err)
	return pair
}

// Write puts a good pair into the files and gives its serial number.
func (a *Authority) Write(certFile, keyFile string) (serial int64) {
	a.t.Helper()
	cert, key := a.Good()
	require.NoError(a.t, os.WriteFile(certFile, cert, 0o600))
	require.NoError(a.t, os.WriteFile(keyFile, key, 0o600))
	return a.last
}
