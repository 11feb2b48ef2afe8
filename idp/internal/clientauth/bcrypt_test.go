package clientauth_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/clientauth"
)

func TestBcrypt(t *testing.T) {
	ctx := t.Context()
	hasher := clientauth.CheapBcrypt(4)
	secret := clientauth.NewSecret()
	hash, err := hasher.Hash(ctx, "", secret)
	require.NoError(t, err)
	require.Equal(t, clientauth.SchemeBcrypt, hash.Scheme)
	require.Equal(t, hash.Scheme, hasher.Scheme())
	require.NotContains(t, hash.Encoded, secret)
	require.True(t, hasher.Candidate(hash, secret))
	cost, err := bcrypt.Cost([]byte(hash.Encoded[2:]))
	require.NoError(t, err)
	require.Equal(t, 4, cost)
	require.True(t, hasher.Current(hash))

	verifies := func(want bool, hash idp.SecretHash, secret string) {
		t.Helper()
		right, err := hasher.Verify(ctx, "", hash, secret)
		require.NoError(t, err)
		require.Equal(t, want, right)
	}
	verifies(true, hash, secret)
	verifies(false, hash, secret[:len(secret)-1])
	verifies(false, hash, clientauth.NewSecret())
	verifies(false, hash, "")
	verifies(false, hash, secret+"\x00")
	verifies(false, hash, secret+strings.Repeat("x", 64))
	decoys := hasher.Decoys()
	require.Equal(t, []int{cost}, costs(decoys))
	verifies(false, decoys[0], secret)
	require.NotEqual(t, decoys, hasher.Decoys())

	for _, broken := range []idp.SecretHash{{}, {Scheme: "vault", Encoded: hash.Encoded}, {Scheme: "bcrypt", Encoded: "$"}, {Scheme: "bcrypt", Encoded: "00$2a$10$short"}} {
		_, err := hasher.Verify(ctx, "", broken, secret)
		require.Error(t, err, "a damaged row is not a wrong secret")
	}
	for _, bad := range []string{"", strings.Repeat("x", 65), "a\x00b"} {
		_, err := hasher.Hash(ctx, "", bad)
		require.Error(t, err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	_, err = hasher.Hash(ended, "", secret)
	require.ErrorIs(t, err, context.Canceled)
	_, err = hasher.Verify(ended, "", hash, secret)
	require.ErrorIs(t, err, context.Canceled)
}

func TestBcryptCost(t *testing.T) {
	for _, cost := range []int{-1, 4, 9, 32} {
		_, err := clientauth.NewBcrypt(cost)
		require.Error(t, err)
	}
	for given, cost := range map[int]int{0: 10, 10: 10, 11: 11} {
		hasher, err := clientauth.NewBcrypt(given)
		require.NoError(t, err)
		require.Equal(t, []int{cost}, costs(hasher.Decoys()))
		for _, of := range []int{9, 10, 11, 12} {
			made := idp.SecretHash{Scheme: clientauth.SchemeBcrypt, Encoded: fmt.Sprintf("00$2a$%02d$%s", of, strings.Repeat("a", 53))}
			require.Equal(t, of == cost, hasher.Current(made), "new ones are of the cost that was asked for")
		}
	}
}

func costs(hashes []idp.SecretHash) []int {
	found := []int{}
	for _, hash := range hashes {
		found = append(found, clientauth.BcryptCost(hash))
	}
	return found
}

// A refusal costs 2^ceiling rounds, whatever rows it tried.
func TestBcryptRefusalsCostTheSame(t *testing.T) {
	row := func(cost int) idp.SecretHash {
		hashed, err := bcrypt.GenerateFromPassword([]byte("aidp_sk_old"), min(cost, 5))
		require.NoError(t, err)
		return idp.SecretHash{Scheme: clientauth.SchemeBcrypt, Encoded: fmt.Sprintf("$2a$%02d%s", cost, hashed[6:])}
	}
	hasher, err := clientauth.NewBcrypt(10)
	require.NoError(t, err)
	require.Equal(t, []int{10}, costs(hasher.Decoys()))
	require.Empty(t, hasher.Decoys(row(10)))
	require.Equal(t, []int{9}, costs(hasher.Decoys(row(9))))
	require.Equal(t, []int{4, 5, 6, 7, 8, 9}, costs(hasher.Decoys(row(4))))
	require.Empty(t, hasher.Decoys(row(10), row(10)))

	require.Empty(t, hasher.Decoys(row(12)), "a dearer row")
	require.Equal(t, []int{12}, costs(hasher.Decoys()), "raises what a stranger pays from then on")
	require.Equal(t, []int{10, 11}, costs(hasher.Decoys(row(10))))

	require.Empty(t, hasher.Decoys(row(15)), "one that may not be imported")
	require.Equal(t, []int{12}, costs(hasher.Decoys()), "is nobody else's price")
	dear, err := clientauth.NewBcrypt(14)
	require.NoError(t, err)
	require.Equal(t, []int{14}, costs(dear.Decoys()), "but what is configured is")
}

func TestImportBcrypt(t *testing.T) {
	ctx := t.Context()
	hasher, err := clientauth.NewBcrypt(0)
	require.NoError(t, err)
	hashed, err := bcrypt.GenerateFromPassword([]byte("anything at all"), 4)
	require.NoError(t, err)
	for _, version := range []string{"$2a$", "$2b$", "$2y$"} {
		hash, err := clientauth.ImportBcrypt(version + string(hashed[4:]))
		require.NoError(t, err)
		require.True(t, hasher.Candidate(hash, "whatever it is"), "nobody here has seen the secret")
		require.False(t, hasher.Current(hash))
		right, err := hasher.Verify(ctx, "", hash, "anything at all")
		require.NoError(t, err)
		require.True(t, right)
		right, err = hasher.Verify(ctx, "", hash, "anything else")
		require.NoError(t, err)
		require.False(t, right)
	}
	_, err = clientauth.ImportBcrypt("$2a$12" + string(hashed[6:]))
	require.NoError(t, err)
	_, err = clientauth.ImportBcrypt("$2a$13" + string(hashed[6:]))
	require.ErrorContains(t, err, "12 at most, has 13")
	same, err := bcrypt.GenerateFromPassword([]byte("s"), 10)
	require.NoError(t, err)
	hash, err := clientauth.ImportBcrypt(string(same))
	require.NoError(t, err)
	require.False(t, hasher.Current(hash), "it has no mark yet")
	for _, bad := range []string{
		"", "secret", string(hashed[:59]), string(hashed) + "x", "$2x$" + string(hashed[4:]), "$2a$03" + string(hashed[6:]), "$2a$16" + string(hashed[6:]),
		"$2a$4$" + string(hashed[6:]), "00" + string(hashed), "$2a$04$" + strings.Repeat("!", 53), "\n" + string(hashed[1:]),
	} {
		_, err := clientauth.ImportBcrypt(bad)
		require.Error(t, err, bad)
		if bad != "" {
			require.NotContains(t, err.Error(), bad)
		}
	}
	require.Zero(t, clientauth.BcryptCost(idp.SecretHash{Scheme: "vault", Encoded: string(hashed)}))
}

func BenchmarkBcryptVerify(b *testing.B) {
	hasher, err := clientauth.NewBcrypt(0)
	require.NoError(b, err)
	decoy := hasher.Decoys()[0]
	for b.Loop() {
		if right, err := hasher.Verify(b.Context(), "", decoy, "aidp_sk_wrong"); right || err != nil {
			b.Fatal(right, err)
		}
	}
}
