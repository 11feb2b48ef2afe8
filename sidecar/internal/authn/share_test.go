package authn

import (
	"fmt"
	"testing"
	"unsafe"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"
)

func TestTokensShareWhatTheySayAlike(t *testing.T) {
	w := newWorld(t, nil)
	verified := func(edit func(jwt.MapClaims)) Identity {
		i, err := w.a.Verify(t.Context(), w.sign("k1", edit))
		require.NoError(t, err)
		return i
	}
	one, two := verified(nil), verified(nil)
	require.NotEqual(t, one.Claims.JTI, two.Claims.JTI)
	require.NotEqual(t, one.Digest, two.Digest)
	require.Equal(t, []string{"notes:read"}, two.Scope)
	require.Same(t, &one.Scope[0], &two.Scope[0])
	require.Same(t, unsafe.StringData(one.Claims.Subject), unsafe.StringData(two.Claims.Subject))
	other := verified(func(c jwt.MapClaims) { c["sub"], c["scope"] = "agent-2", "b a" })
	require.Equal(t, "agent-2", other.Claims.Subject)
	require.Equal(t, []string{"b", "a"}, other.Scope)
	require.Empty(t, verified(func(c jwt.MapClaims) { c["scope"] = "" }).Scope)
}

func TestSharingIsBounded(t *testing.T) {
	var s scopes
	for n := range 3 * mostScopes {
		require.Equal(t, []string{fmt.Sprint("s", n), "x"}, s.members(fmt.Sprint("s", n, " x")))
		require.LessOrEqual(t, len(s.known), mostScopes)
	}
}
