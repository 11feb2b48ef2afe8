package clientauth_test

import (
	"context"
	"encoding/hex"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/clientauth"
	"github.com/sentryagent/agentidp/shared/apierr"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestProvenOnceRememberedThen(t *testing.T) {
	w := newWorld(t, nil)
	require.Equal(t, 1, w.accepted(right))
	w.remembered(right)
	gate := w.refused(clientauth.ReasonSecretWrong, w.credential.ClientID, "aidp_sk_wrong")
	require.Equal(t, w.agent.ID, gate.Agent.ID, "for the audit log")
	w.refused(clientauth.ReasonSecretWrong, w.credential.ClientID, right+"x")
	require.Zero(t, w.accepted(right), "an impostor does not make it forget")

	var text strings.Builder
	w.set.WritePrometheus(&text)
	require.Regexp(t, `agentidp_client_auth_cache_hits_total [1-9]`, text.String())
	require.Regexp(t, `agentidp_client_auth_cache_misses_total [1-9]`, text.String())
	require.Regexp(t, `agentidp_secret_hash_seconds_count [1-9]`, text.String())
	require.Contains(t, text.String(), "agentidp_secret_hash_queue_length 0")
}

func TestEqualWork(t *testing.T) {
	w := newWorld(t, nil)
	id := w.credential.ClientID
	require.Equal(t, 1, w.accepted(right))
	w.remembered(right)

	gate := w.refused(clientauth.ReasonClientUnknown, clientauth.NewClientID(), right)
	require.Empty(t, gate)
	w.refused(clientauth.ReasonSecretWrong, id, "aidp_sk_wrong")

	w.setStatus(idp.Decommissioned)
	w.refused(clientauth.ReasonAgentDecommissioned, id, right)
	w.refused(clientauth.ReasonSecretWrong, id, "aidp_sk_wrong")
	w.setStatus(idp.Active)

	w.changeCredential(func(c *idp.Credential) { c.ExpiresAt = w.now().Add(time.Minute) })
	require.Equal(t, 1, w.accepted(right))
	w.remembered(right)
	w.forward(time.Minute)
	w.refused(clientauth.ReasonCredentialExpired, id, right)
	w.refused(clientauth.ReasonSecretWrong, id, "aidp_sk_wrong")

	w.changeCredential(func(c *idp.Credential) { c.ExpiresAt = time.Time{}; c.Revoke(w.now()) })
	w.refused(clientauth.ReasonCredentialRevoked, id, right)
	w.refused(clientauth.ReasonSecretWrong, id, "aidp_sk_wrong")
}

// During an overlap too an attempt costs one hash, whichever secret it brings.
func TestOverlap(t *testing.T) {
	w := newWorld(t, nil)
	id := w.credential.ClientID
	require.Equal(t, 1, w.accepted(right))
	w.remembered(right)

	next := differentMark(right)
	w.rotate(next, time.Hour)
	require.Equal(t, 1, w.accepted(right), "the version is new: proven again")
	require.Equal(t, 1, w.accepted(next))
	w.remembered(right)
	w.remembered(next)
	require.Zero(t, w.accepted(right), "both are remembered at once")
	w.refused(clientauth.ReasonSecretWrong, id, "aidp_sk_wrong")
	w.refused(clientauth.ReasonSecretWrong, id, sameMark(right))
	w.refused(clientauth.ReasonSecretWrong, id, sameMark(next))
	w.refused(clientauth.ReasonClientUnknown, clientauth.NewClientID(), right)

	w.forward(time.Hour)
	w.refused(clientauth.ReasonSecretWrong, id, right)
	require.Zero(t, w.accepted(next))
}

// Two secrets with one mark, one rotation in 256: both are good all the same.
func TestOverlapWithEqualMarks(t *testing.T) {
	w := newWorld(t, nil)
	next := sameMark(right)
	w.rotate(next, time.Hour)
	require.Equal(t, 1, w.accepted(next))
	require.Equal(t, 2, w.accepted(right))
	w.refused(clientauth.ReasonSecretWrong, w.credential.ClientID, differentMark(right))
}

func sameMark(secret string) string { return search(secret, true) }

func differentMark(secret string) string { return search(secret, false) }

func search(secret string, same bool) string {
	for n := 0; ; n++ {
		other := "aidp_sk_other" + strings.Repeat("i", n%8) + hex.EncodeToString([]byte{byte(n), byte(n >> 8)})
		if other != secret && (digest(other)[:markOf] == digest(secret)[:markOf]) == same {
			return other
		}
	}
}

func TestForgetsAtOnce(t *testing.T) {
	w := newWorld(t, nil)
	require.Equal(t, 1, w.accepted(right))
	w.remembered(right)
	w.rotate("aidp_sk_next", 0)
	w.refused(clientauth.ReasonSecretWrong, w.credential.ClientID, right)
	require.Equal(t, 1, w.accepted("aidp_sk_next"))
	w.remembered("aidp_sk_next")
	w.changeCredential(func(c *idp.Credential) { c.Revoke(w.now()) })
	w.refused(clientauth.ReasonCredentialRevoked, w.credential.ClientID, "aidp_sk_next")
}

func TestSuspendedIsTheCallersToTell(t *testing.T) {
	w := newWorld(t, nil)
	w.setStatus(idp.Suspended)
	gate, err := w.try(w.credential.ClientID, right)
	require.NoError(t, err)
	require.Equal(t, idp.Suspended, gate.Agent.Status)
	w.remembered(right)
	gate, err = w.try(w.credential.ClientID, right)
	require.NoError(t, err)
	require.Equal(t, idp.Suspended, gate.Agent.Status)
	w.refused(clientauth.ReasonSecretWrong, w.credential.ClientID, "aidp_sk_wrong")
}

func TestImpossibleAttemptsCostNothing(t *testing.T) {
	w := newWorld(t, nil)
	for _, clientID := range []string{w.credential.ClientID, clientauth.NewClientID()} {
		for _, secret := range []string{"", strings.Repeat("x", 65), strings.Repeat("x", 1<<20), right + "\x00", right + "\x00rest"} {
			require.Zero(t, w.hasher.since(func() {
				_, err := w.try(clientID, secret)
				sameRefusal(t, clientauth.ReasonSecretWrong, err)
			}))
		}
	}
	for _, clientID := range []string{"", strings.Repeat("x", 129)} {
		require.Zero(t, w.hasher.since(func() {
			_, err := w.try(clientID, right)
			sameRefusal(t, clientauth.ReasonClientUnknown, err)
		}))
	}
}

// What changes while the hash runs is what counts.
func TestChangesWhileHashing(t *testing.T) {
	w := newWorld(t, nil)
	meanwhile := func(do func()) {
		var once sync.Once
		w.hasher.during = func() { once.Do(do) }
	}
	meanwhile(func() { w.rotate(differentMark(right), 0) })
	w.refused(clientauth.ReasonSecretWrong, w.credential.ClientID, right)

	meanwhile(func() { w.rotate(right, time.Hour) })
	require.Equal(t, 1, w.accepted(differentMark(right)), "good for the overlap")

	meanwhile(func() { w.changeCredential(func(c *idp.Credential) { c.Revoke(w.now()) }) })
	w.refused(clientauth.ReasonCredentialRevoked, w.credential.ClientID, right)
}

func TestStoreFailureIsNoRefusal(t *testing.T) {
	w := newWorld(t, nil)
	unavailable := func(ctx context.Context) {
		t.Helper()
		_, err := w.auth.Authenticate(ctx, clientauth.Attempt{ClientID: w.credential.ClientID, Secret: right})
		require.True(t, apierr.Is(err, apierr.StoreUnavailable), "%v", err)
		require.Equal(t, time.Second, apierr.From(err).RetryAfter)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	unavailable(ended)

	// The store goes away while the hash runs.
	w.hasher.during = func() { require.NoError(t, w.db.Close()) }
	unavailable(t.Context())
	w.hasher.during = nil
	unavailable(t.Context())
}

func TestHasherFailureIsNoRefusal(t *testing.T) {
	w := newWorld(t, nil)
	w.hasher.err = errors.New("sealed")
	_, err := w.try(w.credential.ClientID, right)
	require.True(t, apierr.Is(err, apierr.Unavailable))
	require.NotContains(t, apierr.From(err).Detail, "sealed")
	w.hasher.err = apierr.New(apierr.Unavailable, "vault")
	_, err = w.try(w.credential.ClientID, right)
	require.True(t, apierr.Is(err, apierr.Unavailable))
	w.hasher.err = nil

	w.changeCredential(func(c *idp.Credential) { c.Secret.Scheme = "unheard-of" })
	_, err = w.try(w.credential.ClientID, right)
	require.True(t, apierr.Is(err, apierr.Unavailable))
	require.Equal(t, "secret_undecided", apierr.From(err).Reason)
	require.ErrorContains(t, err, `the scheme "unheard-of"`)
}

func TestRowsOfAnotherScheme(t *testing.T) {
	bcrypt := clientauth.CheapBcrypt(4)
	w := newWorld(t, func(o *clientauth.Options) { o.Others = []clientauth.Hasher{bcrypt} })
	hash, err := bcrypt.Hash(t.Context(), "", "aidp_sk_old")
	require.NoError(t, err)
	w.changeCredential(func(c *idp.Credential) { c.Previous, c.PreviousUntil = hash, w.now().Add(time.Hour) })
	w.accepted("aidp_sk_old")
	w.accepted(right)
}

func TestNewRefusesHalfAConfiguration(t *testing.T) {
	w := newWorld(t, nil)
	for _, spoil := range []func(*clientauth.Options){
		func(o *clientauth.Options) { o.DB = nil }, func(o *clientauth.Options) { o.Hasher = nil },
		func(o *clientauth.Options) { o.CacheSize = -1 }, func(o *clientauth.Options) { o.Concurrency = -1 },
		func(o *clientauth.Options) { o.QueueLength = -1 }, func(o *clientauth.Options) { o.MaxWait = -1 },
	} {
		options := clientauth.Options{DB: w.db, Hasher: w.hasher}
		spoil(&options)
		_, err := clientauth.New(options)
		require.Error(t, err)
	}
	auth, err := clientauth.New(clientauth.Options{DB: w.db, Hasher: w.hasher})
	require.NoError(t, err)
	auth.Close()
}

// With the real scheme the whole way, and bounded memory of proofs.
func TestWithBcrypt(t *testing.T) {
	bcrypt := clientauth.CheapBcrypt(4)
	w := newWorld(t, func(o *clientauth.Options) { o.Hasher, o.CacheSize = bcrypt, 10 })
	secret := clientauth.NewSecret()
	hash, err := w.auth.Hasher().Hash(t.Context(), w.credential.ID, secret)
	require.NoError(t, err)
	w.changeCredential(func(c *idp.Credential) { c.Rotate(hash, 0, w.now()) })
	_, err = w.try(w.credential.ClientID, secret)
	require.NoError(t, err)
	_, err = w.try(w.credential.ClientID, clientauth.NewSecret())
	sameRefusal(t, clientauth.ReasonSecretWrong, err)
	_, err = w.try(clientauth.NewClientID(), secret)
	sameRefusal(t, clientauth.ReasonClientUnknown, err)
}
