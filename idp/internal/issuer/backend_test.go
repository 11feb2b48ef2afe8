package issuer

import (
	"errors"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/issuer/batchsign"
)

func TestSignerNames(t *testing.T) {
	for _, s := range Signers() {
		require.True(t, s.Valid(), s)
		require.NotEmpty(t, s.Backend())
		require.Zero(t, s.AtOnce()%runtime.GOMAXPROCS(0))
	}
	require.False(t, Signer("").Valid())
	require.False(t, Signer("fast").Valid())
	require.Equal(t, goBackend.name, Go.Backend())
	if batchsign.Available {
		require.Equal(t, batchsign.Name, Batch.Backend())
	} else {
		require.Equal(t, goBackend.name, Batch.Backend())
	}
}

// Where the processor cannot, crypto/rsa signs and the reason is told: a setting
// for all replicas must not keep one from starting.
func TestBatch(t *testing.T) {
	ctx, db := t.Context(), openStore(t)
	issuer, err := Open(ctx, db, newSealer(t, 1), Batch, newClock().now)
	require.NoError(t, err)
	require.NoError(t, issuer.EnsureKey(ctx, (&journal{db: db}).commit))
	if batchsign.Available {
		require.NoError(t, issuer.Degraded())
		require.Equal(t, batchsign.Name, issuer.Backend())
	} else {
		require.ErrorContains(t, issuer.Degraded(), "AVX-512 IFMA")
		require.Equal(t, goBackend.name, issuer.Backend())
	}
	results := make(chan error)
	for range 64 {
		go func() {
			signed, err := issuer.Mint(ctx, claims(issuer), nil)
			if err == nil {
				_, err = verifier(issuer).Verify(ctx, signed)
			}
			results <- err
		}()
	}
	for range 64 {
		require.NoError(t, <-results)
	}
}

// A backend may give up long after it passed its check.
func TestBackendThatGivesUp(t *testing.T) {
	ctx, db := t.Context(), openStore(t)
	var wrong atomic.Bool
	b := backend{name: "tired", open: goBackend.open, perCore: 1, givenUp: func() error {
		if wrong.Load() {
			return errors.New("a pass failed its check")
		}
		return nil
	}}
	issuer, err := open(ctx, db, newSealer(t, 1), nil, b)
	require.NoError(t, err)
	require.Equal(t, "tired", issuer.Backend())
	require.NoError(t, issuer.Degraded())
	wrong.Store(true)
	require.Equal(t, goBackend.name, issuer.Backend())
	require.ErrorContains(t, issuer.Degraded(), "failed its check")
}
