package faults

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"
)

// claims are what the token says, judged by nobody.
func claims(t *testing.T, token string) (c jwt.MapClaims) {
	t.Helper()
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(payload, &c))
	return c
}

func kidOf(t *testing.T, token string) string {
	t.Helper()
	head, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[0])
	require.NoError(t, err)
	var h struct{ KID string }
	require.NoError(t, json.Unmarshal(head, &h))
	return h.KID
}

// forge signs what a good token says with a key of our own, under any kid.
func forge(t *testing.T, good, kid string) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, claims(t, good))
	token.Header["typ"], token.Header["kid"] = "at+jwt", kid
	signed, err := token.SignedString(key)
	require.NoError(t, err)
	return signed
}

// forgeries are tokens of every cheap kind: none, garbage, another signature, a
// good one that was cut, an unknown key.
func forgeries(t *testing.T, good string) []string {
	t.Helper()
	return []string{
		"", rand.Text() + rand.Text(), forge(t, good, kidOf(t, good)), good[:len(good)-8], forge(t, good, "kid-"+rand.Text()),
		base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"at+jwt"}`)) + "." + strings.Split(good, ".")[1] + ".",
	}
}

// forged asks with them in turn.
func forged(t *testing.T, good string) asking {
	tokens := forgeries(t, good)
	return func(n int) (string, string) { return "/notes/1", tokens[n%len(tokens)] }
}
