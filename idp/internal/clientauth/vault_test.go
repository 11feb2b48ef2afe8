package clientauth_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/clientauth"
	"github.com/sentryagent/agentidp/idp/internal/vault"
	"github.com/sentryagent/agentidp/idp/internal/vault/vaulttest"
	"github.com/sentryagent/agentidp/shared/apierr"
)

// A row of another scheme moves into Vault; every attempt reads Vault once,
// whether there is such a client or not; and a Vault that is down refuses nobody.
func TestVault(t *testing.T) {
	server := vaulttest.NewDouble(t)
	proxy := server.NewProxy(t)
	client, err := vault.Open(t.Context(), vault.Options{Addr: proxy.Addr, Mount: server.Mount(t), Token: server.Token})
	require.NoError(t, err)
	t.Cleanup(client.Close)
	kept, err := clientauth.NewVault(t.Context(), client.Secrets())
	require.NoError(t, err)
	w, l := upgrading(t, func(o *clientauth.Options) { o.Others = []clientauth.Hasher{o.Hasher}; o.Hasher = kept })
	require.Equal(t, 1, w.accepted(right))
	w.eventually("moved", func() bool { return len(l.written()) == 1 && w.upgrades("done") == 1 })
	require.Equal(t, vault.Scheme, w.row().Secret.Scheme)
	require.NotContains(t, w.row().Secret.Encoded, right)
	w.remembered(right)

	reads := func(do func()) (n int) {
		proxy.Requests()
		do()
		for _, request := range proxy.Requests() { // since it was asked last
			if strings.HasPrefix(request, "GET ") {
				n++
			}
		}
		return n
	}
	for _, clientID := range []string{w.credential.ClientID, clientauth.NewClientID()} {
		require.Equal(t, 1, reads(func() {
			_, err := w.try(clientID, "aidp_sk_wrong")
			require.True(t, apierr.Is(err, apierr.InvalidClient), "%v", err)
		}))
	}
	// During an overlap, too, the mark tells which of the two to read.
	next := "aidp_sk_next"
	for kept.Candidate(w.row().Secret, next) {
		next += "x"
	}
	hash, err := w.auth.Hash(t.Context(), w.credential.ID, next)
	require.NoError(t, err)
	w.changeCredential(func(c *idp.Credential) { c.Rotate(hash, time.Hour, w.now()) })
	for _, secret := range []string{next, right} {
		require.Equal(t, 1, reads(func() { w.accepted(secret) }))
	}
	_, err = w.auth.Hash(t.Context(), w.credential.ID, strings.Repeat("x", 65))
	require.Error(t, err)

	proxy.Instead(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	for _, clientID := range []string{w.credential.ClientID, clientauth.NewClientID()} {
		_, err = w.try(clientID, "aidp_sk_wrong")
		require.True(t, apierr.Is(err, apierr.Unavailable), "%v", err)
	}
	_, err = w.auth.Hash(t.Context(), w.credential.ID, right)
	require.ErrorIs(t, err, vault.ErrUnavailable)
	kept, err = clientauth.NewVault(t.Context(), client.Secrets())
	require.Error(t, err)
	require.Len(t, kept.Decoys(), 1, "good as well")
}

// What Vault has lost is Vault's loss: 503. What was rotated or revoked on
// purpose, or is wrong for certain, is 401 as ever.
func TestVaultThatLostADigest(t *testing.T) {
	server := vaulttest.NewDouble(t)
	mount := server.Mount(t)
	client, err := vault.Open(t.Context(), vault.Options{Addr: server.Addr, Mount: mount, Token: server.Token})
	require.NoError(t, err)
	t.Cleanup(client.Close)
	kept, err := clientauth.NewVault(t.Context(), client.Secrets())
	require.NoError(t, err)
	w := newWorld(t, func(o *clientauth.Options) { o.Hasher = kept })
	hash := func(secret string) idp.SecretHash {
		return must(kept.Hash(t.Context(), w.credential.ID, secret))
	}
	first := hash(right)
	w.changeCredential(func(c *idp.Credential) { c.Secret = first })
	unavailable := func(secret string) {
		t.Helper()
		_, err := w.try(w.credential.ClientID, secret)
		require.True(t, apierr.Is(err, apierr.Unavailable), "%v", err)
		require.Equal(t, "secret_lost", reasonOf(err))
		require.ErrorIs(t, err, clientauth.ErrLost)
	}
	refused := func(reason, secret string) {
		t.Helper()
		_, err := w.try(w.credential.ClientID, secret)
		require.True(t, apierr.Is(err, apierr.InvalidClient), "%v", err)
		require.Equal(t, reason, reasonOf(err))
	}
	wrong := "aidp_sk_wrong"
	for kept.Candidate(first, wrong) {
		wrong += "x"
	}

	require.NoError(t, client.Secrets().Delete(t.Context(), first.Encoded))
	unavailable(right)
	refused(clientauth.ReasonSecretWrong, wrong)
	require.EqualValues(t, 1, w.set.GetOrCreateCounter("agentidp_secrets_lost_total").Get())
	w.changeCredential(func(c *idp.Credential) { c.ExpiresAt = w.now() })
	refused(clientauth.ReasonSecretWrong, right)
	w.changeCredential(func(c *idp.Credential) { c.ExpiresAt = time.Time{} })

	// Rotated with overlap: the one before counts until it ends.
	second := hash("aidp_sk_second")
	w.changeCredential(func(c *idp.Credential) { c.Rotate(second, time.Hour, w.now()) })
	_, err = w.try(w.credential.ClientID, "aidp_sk_second")
	require.NoError(t, err)
	if !kept.Candidate(second, right) {
		unavailable(right)
	}
	w.forward(2 * time.Hour)
	refused(clientauth.ReasonSecretWrong, right)

	// Revoked: its entry goes, which is as it should be.
	require.NoError(t, client.Secrets().DeleteCredential(t.Context(), w.credential.ID))
	w.changeCredential(func(c *idp.Credential) { c.Status = idp.CredentialRevoked })
	refused(clientauth.ReasonSecretWrong, "aidp_sk_second")
	_, err = w.try(clientauth.NewClientID(), right)
	require.Equal(t, clientauth.ReasonClientUnknown, reasonOf(err))
}

// losing is a hasher that finds nothing where its hashes refer to.
type losing struct {
	clientauth.Hasher
	during func()
}

func (l losing) Verify(context.Context, string, idp.SecretHash, string) (bool, error) {
	l.during()
	return false, clientauth.ErrLost
}

// What a rotation took away while it was looked for is not lost.
func TestRotatedWhileItWasLookedFor(t *testing.T) {
	during := func() {}
	w := newWorld(t, func(o *clientauth.Options) { o.Hasher = losing{o.Hasher, func() { during() }} })
	_, err := w.try(w.credential.ClientID, right)
	require.Equal(t, "secret_lost", reasonOf(err))
	during = func() { w.rotate("aidp_sk_next", 0) }
	_, err = w.try(w.credential.ClientID, right)
	require.Equal(t, clientauth.ReasonSecretWrong, reasonOf(err))
}
