package clientauth_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/clientauth"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/apierr"
)

func TestAssertionsAreOffWithoutAnIssuer(t *testing.T) {
	w := newKeyedWorld(t, func(o *clientauth.Options) { o.Issuer = "" })
	w.refuses("unsupported_auth_method", w.draft().sign())
	require.Empty(t, w.auth.Algorithms())
}

func TestAssertionKeys(t *testing.T) {
	w := newKeyedWorld(t, nil)
	w.setKeys(nil, "")
	w.refuses(clientauth.ReasonAssertionKeyUnknown, w.draft().sign())

	other := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	w.setKeys(jwksOf(jwkOf(ecKey().Public(), map[string]any{"kid": "ec"}), jwkOf(other.Public(), map[string]any{"kid": "other"})), "")
	w.accepts(w.draft().sign())
	nameless := w.draft()
	delete(nameless.header, "kid")
	w.refuses(clientauth.ReasonAssertionKeyUnknown, nameless.sign())

	w.setKeys(jwksOf(jwkOf(rsaKey().Public(), map[string]any{"kid": "rsa", "alg": "PS256"})), "")
	d := w.draft()
	d.method, d.key, d.header["kid"] = ps256(rsa.PSSSaltLengthEqualsHash), rsaKey(), "rsa"
	w.accepts(d.sign())
	d.method = jwt.SigningMethodRS256
	w.refuses(clientauth.ReasonAssertionKeyUnknown, d.sign())
}

// source is a KeySource that is one function.
type source func(uri string, holds func(*clientauth.KeySet) bool) (*clientauth.KeySet, error)

func (s source) Keys(_ context.Context, at clientauth.KeyAddress, holds func(*clientauth.KeySet) bool) (*clientauth.KeySet, error) {
	return s(at.URI, holds)
}

func TestAssertionKeysByAddress(t *testing.T) {
	const uri = "https://keys.example.com/a.json"
	set := must(clientauth.ReadKeySet(jwksOf(jwkOf(ecKey().Public(), map[string]any{"kid": "ec"}))))
	var answer source
	w := newKeyedWorld(t, func(o *clientauth.Options) {
		o.KeySource = source(func(uri string, holds func(*clientauth.KeySet) bool) (*clientauth.KeySet, error) {
			return answer(uri, holds)
		})
	})
	w.setKeys(nil, uri)
	answer = func(asked string, holds func(*clientauth.KeySet) bool) (*clientauth.KeySet, error) {
		require.Equal(t, uri, asked)
		require.True(t, holds(set))
		require.False(t, holds(&clientauth.KeySet{}))
		return set, nil
	}
	w.accepts(w.draft().sign())

	answer = func(string, func(*clientauth.KeySet) bool) (*clientauth.KeySet, error) {
		return nil, errors.New("away")
	}
	_, err := w.present(w.draft().sign())
	require.True(t, apierr.Is(err, apierr.Unavailable), "never wrong: %v", err)
	require.Equal(t, "keys_unavailable", apierr.From(err).Reason)
	require.NotZero(t, apierr.From(err).RetryAfter)
	d := w.draft()
	d.claims["aud"] = "x"
	w.refuses(clientauth.ReasonAssertionAudience, d.sign())

	// What changes while keys are fetched counts.
	answer = func(string, func(*clientauth.KeySet) bool) (*clientauth.KeySet, error) {
		w.changeCredential(func(*idp.Credential) {})
		return set, nil
	}
	_, err = w.present(w.draft().sign())
	require.True(t, apierr.Is(err, apierr.Overloaded), "%v", err)
	answer = func(string, func(*clientauth.KeySet) bool) (*clientauth.KeySet, error) {
		w.setStatus(idp.Decommissioned)
		return set, nil
	}
	w.refuses(clientauth.ReasonAgentDecommissioned, w.draft().sign())
}

// Reading an agent's keys is work like checking its signature: it waits its turn.
func TestKeysAreReadInLine(t *testing.T) {
	w := newKeyedWorld(t, func(o *clientauth.Options) { o.MaxWait = 20 * time.Millisecond })
	w.setKeys(json.RawMessage(`{"keys":0}`), "")
	release := w.auth.HoldChecks()
	_, err := w.present(w.draft().sign())
	require.True(t, apierr.Is(err, apierr.Overloaded), "nobody looked at the keys: %v", err)
	release()
	_, err = w.present(w.draft().sign())
	require.ErrorContains(t, err, "stored keys")
}

func TestNoKeySourceIsUnavailable(t *testing.T) {
	w := newKeyedWorld(t, nil)
	w.setKeys(nil, "https://keys.example.com")
	_, err := w.present(w.draft().sign())
	require.True(t, apierr.Is(err, apierr.Unavailable), "%v", err)
}

func TestSpend(t *testing.T) {
	w := newKeyedWorld(t, nil)
	d := w.draft()
	assertion, err := clientauth.ParseAssertion(d.sign())
	require.NoError(t, err)
	require.Equal(t, store.AssertionUse{JTI: d.claims["jti"].(string), Expires: w.now().Add(3 * time.Minute)}, assertion.Use())
	spend := func() error { return w.db.Update(context.Background(), assertion.Spend) }
	results := make(chan error, 8)
	for range cap(results) {
		go func() { results <- spend() }()
	}
	spent := 0
	for range cap(results) {
		if err := <-results; err == nil {
			spent++
		} else {
			sameRefusal(t, clientauth.ReasonAssertionReplayed, err)
		}
	}
	require.Equal(t, 1, spent)

	w.forward(3*time.Minute + time.Hour)
	require.NoError(t, w.auth.Prune(context.Background()))
	sameRefusal(t, clientauth.ReasonAssertionReplayed, spend())
	w.forward(time.Millisecond)
	require.NoError(t, w.auth.Prune(context.Background()))
	require.NoError(t, spend(), "forgotten when nobody could take it any more")
	w.refuses(clientauth.ReasonAssertionExpired, d.sign())
}

func TestAssertionWhenTheStoreIsAway(t *testing.T) {
	w := newKeyedWorld(t, nil)
	raw := w.draft().sign()
	require.NoError(t, w.db.Close())
	_, err := w.present(raw)
	require.True(t, apierr.Is(err, apierr.StoreUnavailable), "%v", err)
}

func TestAssertionOfACallerWhoLeft(t *testing.T) {
	w := newKeyedWorld(t, nil)
	assertion, err := clientauth.ParseAssertion(w.draft().sign())
	require.NoError(t, err)
	_, err = w.auth.Authenticate(context.Background(), clientauth.Attempt{Assertion: assertion, Gone: func() bool { return true }})
	require.True(t, apierr.Is(err, apierr.Overloaded), "%v", err)
}
