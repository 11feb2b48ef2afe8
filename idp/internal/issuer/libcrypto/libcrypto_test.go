//go:build libcrypto

package libcrypto_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/issuer/libcrypto"
)

func TestSignaturesVerify(t *testing.T) {
	for _, bits := range []int{2048, 3072, 4096} {
		private, err := rsa.GenerateKey(rand.Reader, bits)
		require.NoError(t, err)
		signer, err := libcrypto.Open(private)
		require.NoError(t, err)
		require.Equal(t, &private.PublicKey, signer.Public())
		var all sync.WaitGroup
		for i := range 64 {
			all.Go(func() {
				digest := sha256.Sum256([]byte{byte(i)})
				signature, err := signer.Sign(nil, digest[:], crypto.SHA256)
				if err == nil {
					err = rsa.VerifyPKCS1v15(&private.PublicKey, crypto.SHA256, digest[:], signature)
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		want, err := rsa.SignPKCS1v15(nil, private, crypto.SHA256, make([]byte, 32))
		require.NoError(t, err)
		have, err := signer.Sign(rand.Reader, make([]byte, 32), crypto.SHA256)
		require.NoError(t, err)
		require.Equal(t, want, have, "the signature scheme is deterministic")
	}
}

func TestSignsNothingElse(t *testing.T) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	signer, err := libcrypto.Open(private)
	require.NoError(t, err)
	for _, wrong := range []struct {
		digest  []byte
		options crypto.SignerOpts
	}{
		{make([]byte, 31), crypto.SHA256}, {nil, crypto.SHA256}, {make([]byte, 48), crypto.SHA384}, {make([]byte, 32), crypto.Hash(0)},
		{make([]byte, 32), &rsa.PSSOptions{Hash: crypto.SHA256}},
	} {
		_, err := signer.Sign(rand.Reader, wrong.digest, wrong.options)
		require.ErrorContains(t, err, "PKCS #1 v1.5 only")
	}
}

func BenchmarkSign(b *testing.B) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(b, err)
	signer, err := libcrypto.Open(private)
	require.NoError(b, err)
	for name, signer := range map[string]crypto.Signer{"crypto-rsa": private, libcrypto.Name: signer} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, err := signer.Sign(rand.Reader, make([]byte, 32), crypto.SHA256)
				require.NoError(b, err)
			}
		})
	}
}
