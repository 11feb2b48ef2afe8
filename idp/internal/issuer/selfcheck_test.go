package issuer

import (
	"crypto"
	"crypto/rsa"
	"testing"

	"github.com/stretchr/testify/require"
)

// On the first start there is no key to try the backend with: the one that is
// made then tells, and so does what /health and the log read.
func TestSelfCheckOfTheFirstKey(t *testing.T) {
	db := openStore(t)
	liar := backend{name: "liar", perCore: 1, open: func(k *rsa.PrivateKey, _ int) (crypto.Signer, error) {
		return signerFunc{func([]byte) ([]byte, error) { return make([]byte, k.Size()), nil }}, nil
	}}
	issuer, err := open(t.Context(), db, newSealer(t, 1), nil, liar)
	require.NoError(t, err)
	require.Equal(t, "liar", issuer.Backend())
	require.NoError(t, issuer.Degraded())

	require.NoError(t, issuer.EnsureKey(t.Context(), (&journal{db: db}).commit))
	require.Equal(t, goBackend.name, issuer.Backend())
	require.ErrorContains(t, issuer.Degraded(), "liar fails its self-check")
	_, err = issuer.Sign(t.Context(), "statuslist+jwt", []byte("{}"))
	require.NoError(t, err)
}
