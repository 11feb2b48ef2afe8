package clientauth_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/clientauth"
)

// pepper is 32 times the byte.
func pepper(b byte) []byte { return []byte(strings.Repeat(string(rune(b)), 32)) }

func peppers(t testing.TB, setting ...string) *clientauth.HMAC {
	t.Helper()
	h, err := clientauth.ParsePeppers(strings.Join(setting, ","))
	require.NoError(t, err)
	return h
}

func versioned(version string, b byte) string {
	return version + ":" + base64.StdEncoding.EncodeToString(pepper(b))
}

func TestHMAC(t *testing.T) {
	ctx, id, secret := t.Context(), "credential", clientauth.NewSecret()
	first := peppers(t, versioned("1", 'a'))
	hash, err := first.Hash(ctx, id, secret)
	require.NoError(t, err)
	mac := hmac.New(sha256.New, pepper('a'))
	mac.Write([]byte(id + "\x00" + secret))
	require.Equal(t, idp.SecretHash{Scheme: "hmac-sha256", Encoded: "v1$" + base64.StdEncoding.EncodeToString(mac.Sum(nil))}, hash)
	require.Equal(t, hash.Scheme, first.Scheme())

	both := peppers(t, versioned("1", 'a'), " "+versioned("7", 'b'))
	verifies := func(h *clientauth.HMAC, want bool, id string, hash idp.SecretHash, secret string) {
		t.Helper()
		right, err := h.Verify(ctx, id, hash, secret)
		require.NoError(t, err)
		require.Equal(t, want, right)
	}
	verifies(first, true, id, hash, secret)
	verifies(first, false, id, hash, secret+"x")
	verifies(first, false, "another", hash, secret)
	verifies(both, true, id, hash, secret)
	verifies(peppers(t, versioned("1", 'b')), false, id, hash, secret)
	require.True(t, first.Current(hash))
	require.False(t, both.Current(hash), "there is a newer pepper")
	require.True(t, both.Candidate(hash, "anything"))
	next, err := both.Hash(ctx, id, secret)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(next.Encoded, "v7$"))
	require.True(t, both.Current(next))

	_, err = first.Verify(ctx, id, next, secret)
	require.ErrorContains(t, err, "version 7 of the pepper")
	for _, broken := range []string{"", "v1", "v1$", "v1$AAAA", "1x$" + next.Encoded, "vx" + next.Encoded[2:]} {
		_, err = both.Verify(ctx, id, idp.SecretHash{Scheme: "hmac-sha256", Encoded: broken}, secret)
		require.ErrorContains(t, err, "damaged")
		require.False(t, both.Current(idp.SecretHash{Scheme: "hmac-sha256", Encoded: broken}))
	}
	_, err = both.Verify(ctx, id, idp.SecretHash{Scheme: "bcrypt", Encoded: next.Encoded}, secret)
	require.Error(t, err)
	_, err = first.Hash(ctx, id, strings.Repeat("x", 65))
	require.Error(t, err)

	require.Empty(t, both.Decoys(hash))
	decoys := both.Decoys()
	require.Len(t, decoys, 1)
	verifies(both, false, id, decoys[0], secret)
}

func TestParsePeppersRefuses(t *testing.T) {
	secret := base64.StdEncoding.EncodeToString(pepper('z'))
	for _, bad := range []string{
		"", secret, "1:", "0:" + secret, "-1:" + secret, "01:" + secret, "+1:" + secret, "x:" + secret, "1000001:" + secret, "1:" + secret[:40], "1:" + secret + "!",
		"1:" + base64.StdEncoding.EncodeToString(pepper('z')[:31]), "1:" + secret + ",1:" + secret, "1:" + secret + ",",
		"1:" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", 1025))),
	} {
		_, err := clientauth.ParsePeppers(bad)
		require.Error(t, err, bad)
		require.NotContains(t, err.Error(), secret[:20])
	}
}
