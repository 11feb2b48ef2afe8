package proxy_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/token"
)

const (
	issuer       = "https://idp.example"
	audience     = "https://notes.example"
	organization = "org-1"
	agentID      = "7b5f0c9e-6d53-4c1c-9f6b-0a3b8f1f2f11"
	clientID     = "aidp_c_0123456789abcdefghijkl"
)

// mint signs tokens with golang-jwt, good and bad.
type mint struct {
	key, other *rsa.PrivateKey
	ec         *ecdsa.PrivateKey
	ed         ed25519.PrivateKey
	kid        string
	verifier   *token.Verifier
}

type staticKeys map[string]*token.Key

func (k staticKeys) Key(kid string) (*token.Key, error) {
	if key := k[kid]; key != nil {
		return key, nil
	}
	return nil, token.ErrUnknownKey
}

var theMint = sync.OnceValues(func() (*mint, error) {
	m := &mint{}
	var err error
	if m.key, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		return nil, err
	}
	if m.other, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		return nil, err
	}
	if m.ec, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	if _, m.ed, err = ed25519.GenerateKey(rand.Reader); err != nil {
		return nil, err
	}
	m.kid = token.Thumbprint(&m.key.PublicKey)
	m.verifier = &token.Verifier{Issuer: issuer, Audience: audience, Keys: staticKeys{m.kid: token.NewKey(&m.key.PublicKey)}}
	return m, nil
})

func tokens(t testing.TB) *mint {
	t.Helper()
	m, err := theMint()
	require.NoError(t, err)
	return m
}

func claims(scope string) jwt.MapClaims {
	now := time.Now().Unix()
	return jwt.MapClaims{
		"iss": issuer, "sub": agentID, "aud": audience, "client_id": clientID, "scope": scope, "org": organization,
		"iat": now, "exp": now + 600, "jti": rand.Text(), "rev": []int{0, 0, 0},
	}
}

// sign makes a token of method and key; change edits header and claims before.
func (m *mint) sign(t testing.TB, method jwt.SigningMethod, key any, change func(header map[string]any, c jwt.MapClaims)) string {
	t.Helper()
	c := claims("notes:read notes:write")
	j := jwt.NewWithClaims(method, c)
	j.Header["typ"], j.Header["kid"] = "at+jwt", m.kid
	if change != nil {
		change(j.Header, c)
	}
	raw, err := j.SignedString(key)
	require.NoError(t, err)
	return raw
}

// good is a token that notes:read and notes:write routes accept.
func (m *mint) good(t testing.TB, edit ...map[string]any) string {
	t.Helper()
	return m.sign(t, jwt.SigningMethodRS256, m.key, func(_ map[string]any, c jwt.MapClaims) {
		for _, e := range edit {
			maps.Copy(c, e)
		}
	})
}

func strictJSON(text string, into any) error {
	decoder := json.NewDecoder(bytes.NewReader([]byte(text)))
	decoder.DisallowUnknownFields()
	return decoder.Decode(into)
}
