package token

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

func TestTextsAreKeptOnce(t *testing.T) {
	v := loadVectors(t)
	verifier := v.verifier()
	verified := func(claims string) Claims {
		raw := []byte(seal(testKeys()[0], v.Header, claims))
		c, err := verifier.Verify(context.Background(), textOf(raw))
		require.NoError(t, err)
		clear(raw) // it was only borrowed
		return c
	}
	one := verified(v.Claims)
	first := one
	two := verified(strings.Replace(v.Claims, `"j1"`, `"j2"`, 1))
	require.Equal(t, "j2", two.JTI)
	two.JTI = one.JTI
	require.Equal(t, first, two)
	require.Same(t, unsafe.StringData(one.Subject), unsafe.StringData(two.Subject))
	require.Same(t, &one.Audience[0], &two.Audience[0])

	audiences := `["` + v.Audience + `","https://a.test"]`
	many := verified(strings.Replace(v.Claims, `"`+v.Audience+`"`, audiences, 1))
	require.Equal(t, []string{v.Audience, "https://a.test"}, many.Audience)
	require.Equal(t, []string{v.Audience}, verified(v.Claims).Audience)
	require.Equal(t, first, one, "what was handed out stays")
}

func TestTextsAreBounded(t *testing.T) {
	var kept texts
	for n := range 2 * mostTexts {
		name := fmt.Sprint("agent-", n)
		c := kept.kept(Claims{Subject: name, Audience: []string{name}})
		require.Equal(t, Claims{Subject: name, Audience: []string{name}}, c)
		require.LessOrEqual(t, len(kept.known), mostTexts+8)
		require.LessOrEqual(t, len(kept.audiences), mostTexts+8)
	}
}

// The header is judged anew whenever it is not the last good token's.
func TestHeadersAreJudgedOnce(t *testing.T) {
	v := loadVectors(t)
	verifier := v.verifier()
	good := seal(testKeys()[0], v.Header, v.Claims)
	verify := func(raw string) (Claims, error) { return verifier.Verify(context.Background(), raw) }
	for range 2 {
		c, err := verify(good)
		require.NoError(t, err)
		require.Equal(t, Thumbprint(&testKeys()[0].PublicKey), c.KID)
		_, err = verify(seal(testKeys()[0], strings.Replace(v.Header, "at+jwt", "jwt", 1), v.Claims))
		require.Equal(t, TypeMismatch, reasonOf(t, err))
		_, err = verify(seal(testKeys()[1], v.Header, v.Claims))
		require.Equal(t, BadSignature, reasonOf(t, err))
	}
	verifier.Keys = NewKeySet(&testKeys()[1].PublicKey)
	_, err := verify(good)
	require.Equal(t, UnknownKey, reasonOf(t, err), "its key is looked up each time")
}
