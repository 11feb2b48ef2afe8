package clientauth_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/clientauth"
)

func TestBcrypt(t *testing.T) {
	ctx := t.Context()
	hasher, err := clientauth.NewBcrypt(0)
	require.NoError(t, err)
	secret := clientauth.NewSecret()
	hash, err := hasher.Hash(ctx, secret)
	require.NoError(t, err)
	require.Equal(t, clientauth.SchemeBcrypt, hash.Scheme)
	require.Equal(t, hash.Scheme, hasher.Scheme())
	require.NotContains(t, hash.Encoded, secret)
	require.True(t, hasher.Candidate(hash, secret))
	cost, err := bcrypt.Cost([]byte(hash.Encoded[2:]))
	require.NoError(t, err)
	require.Equal(t, 10, cost)

	verifies := func(want bool, hash idp.SecretHash, secret string) {
		t.Helper()
		right, err := hasher.Verify(ctx, hash, secret)
		require.NoError(t, err)
		require.Equal(t, want, right)
	}
	verifies(true, hash, secret)
	verifies(false, hash, secret[:len(secret)-1])
	verifies(false, hash, clientauth.NewSecret())
	verifies(false, hash, "")
	verifies(false, hash, secret+"\x00")
	verifies(false, hash, secret+strings.Repeat("x", 64))
	verifies(false, hasher.Decoy(), secret)
	require.NotEqual(t, hasher.Decoy(), hasher.Decoy())
	decoy, err := bcrypt.Cost([]byte(hasher.Decoy().Encoded[2:]))
	require.NoError(t, err)
	require.Equal(t, cost, decoy)

	for _, broken := range []idp.SecretHash{{}, {Scheme: "vault", Encoded: hash.Encoded}, {Scheme: "bcrypt", Encoded: "$"}, {Scheme: "bcrypt", Encoded: "00$2a$10$short"}} {
		_, err := hasher.Verify(ctx, broken, secret)
		require.Error(t, err, "a damaged row is not a wrong secret")
	}
	for _, bad := range []string{"", strings.Repeat("x", 65), "a\x00b"} {
		_, err := hasher.Hash(ctx, bad)
		require.Error(t, err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	_, err = hasher.Hash(ended, secret)
	require.ErrorIs(t, err, context.Canceled)
	_, err = hasher.Verify(ended, hash, secret)
	require.ErrorIs(t, err, context.Canceled)
}

func TestBcryptCost(t *testing.T) {
	for _, cost := range []int{-1, 4, 9, 32} {
		_, err := clientauth.NewBcrypt(cost)
		require.Error(t, err)
	}
	dearer, err := clientauth.NewBcrypt(11)
	require.NoError(t, err)
	require.Contains(t, dearer.Decoy().Encoded, "$2a$11$")
}

func BenchmarkBcryptVerify(b *testing.B) {
	hasher, err := clientauth.NewBcrypt(0)
	require.NoError(b, err)
	decoy := hasher.Decoy()
	for b.Loop() {
		if right, err := hasher.Verify(b.Context(), decoy, "aidp_sk_wrong"); right || err != nil {
			b.Fatal(right, err)
		}
	}
}
