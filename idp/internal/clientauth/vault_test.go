package clientauth_test

import (
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
