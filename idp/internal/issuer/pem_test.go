package issuer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/apierr"
)

func TestParsePEM(t *testing.T) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	block := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }
	for _, good := range [][]byte{
		block("PRIVATE KEY", pkcs8), block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(private)), append(block("PRIVATE KEY", pkcs8), " \n\n"...),
	} {
		got, err := parsePEM(good)
		require.NoError(t, err)
		require.True(t, private.Equal(got))
	}

	refused := func(rule string, text []byte) {
		t.Helper()
		_, err := parsePEM(text)
		require.True(t, apierr.Is(err, apierr.ValidationFailed))
		require.Equal(t, "pem", apierr.From(err).Fields[0].Field)
		require.Contains(t, apierr.From(err).Fields[0].Rule, rule)
	}
	refused("one PEM block", nil)
	refused("one PEM block", []byte("key"))
	refused("one PEM block", append(block("PRIVATE KEY", pkcs8), block("PRIVATE KEY", pkcs8)...))
	refused("type", block("CERTIFICATE", pkcs8))
	refused("type", block("PUBLIC KEY", pkcs8))
	refused("type", block("EC PRIVATE KEY", pkcs8))
	refused("encrypted", block("ENCRYPTED PRIVATE KEY", pkcs8))
	refused("encrypted", pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Headers: map[string]string{"DEK-Info": "AES"}, Bytes: pkcs8}))
	refused("valid RSA", block("PRIVATE KEY", pkcs8[:100]))
	refused("valid RSA", block("RSA PRIVATE KEY", pkcs8))

	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	ec, err := x509.MarshalPKCS8PrivateKey(curve)
	require.NoError(t, err)
	refused("valid RSA", block("PRIVATE KEY", ec))

	small, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	refused("2048 to 4096", block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(small)))
	refused("exponent 65537", block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(exponent3(t))))
}

// exponent3 makes a valid key whose public exponent is 3.
func exponent3(t *testing.T) *rsa.PrivateKey {
	one, three := big.NewInt(1), big.NewInt(3)
	prime := func() *big.Int {
		for {
			p, err := rand.Prime(rand.Reader, 1024)
			require.NoError(t, err)
			if new(big.Int).Mod(new(big.Int).Sub(p, one), three).Sign() != 0 {
				return p
			}
		}
	}
	p, q := prime(), prime()
	phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
	key := &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: 3},
		D:         new(big.Int).ModInverse(three, phi), Primes: []*big.Int{p, q},
	}
	key.Precompute()
	require.NoError(t, key.Validate())
	return key
}
