package issuer

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Where another backend cannot sign, crypto/rsa has no more callers at once than cores.
func TestTheLineOfAFallbackIsItsOwn(t *testing.T) {
	ctx, db := t.Context(), openStore(t)
	b := backend{name: "wide", perCore: 16, open: func(*rsa.PrivateKey, int) (crypto.Signer, error) { return nil, errors.New("not on this processor") }}
	issuer, err := open(ctx, db, newSealer(t, 1), nil, b)
	require.NoError(t, err)
	require.NoError(t, issuer.EnsureKey(ctx, (&journal{db: db}).commit))
	require.Equal(t, goBackend.name, issuer.Backend())
	for range issuer.cores {
		require.NoError(t, issuer.turnstile.Load().Enter(ctx))
	}
	full, cancel := context.WithCancel(ctx)
	entered := make(chan error, 1)
	go func() { entered <- issuer.turnstile.Load().Enter(full) }()
	require.Eventually(t, func() bool { return issuer.turnstile.Load().Waiting() == 1 || len(entered) == 1 }, 10*time.Second, time.Millisecond)
	cancel()
	require.ErrorIs(t, <-entered, context.Canceled)
}

type fast struct{ crypto.Signer }

// A retired key that a backend cannot take says nothing about the backend.
func TestAKeyOfAnotherSizeIsAlone(t *testing.T) {
	ctx, db := t.Context(), openStore(t)
	b := backend{name: "fast", perCore: 1, open: func(key *rsa.PrivateKey, _ int) (crypto.Signer, error) {
		if key.N.BitLen() != 2048 {
			return nil, errors.New("not of 2048 bits")
		}
		return fast{key}, nil
	}}
	j := &journal{db: db}
	first, err := open(ctx, db, newSealer(t, 1), nil, b)
	require.NoError(t, err)
	large, err := rsa.GenerateKey(rand.Reader, 3072)
	require.NoError(t, err)
	text := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(large)})
	_, err = first.Import(ctx, j.commit, text)
	require.NoError(t, err)
	small, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	text = pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(small)})
	_, err = first.Import(ctx, j.commit, text)
	require.NoError(t, err)

	again, err := open(ctx, db, newSealer(t, 1), nil, b) // the large one is retired
	require.NoError(t, err)
	k, err := again.active()
	require.NoError(t, err)
	_, isFast := k.signer.(fast)
	require.True(t, isFast)
	require.Equal(t, "fast", again.Backend())
}
