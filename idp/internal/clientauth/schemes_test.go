package clientauth_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/clientauth"
	"github.com/sentryagent/agentidp/shared/apierr"
)

// tallied notes the work of a scheme in units of one cost.
type tallied struct {
	clientauth.Hasher
	mu   sync.Mutex
	work int // guarded by mu
	err  error
}

func (h *tallied) Verify(ctx context.Context, id string, hash idp.SecretHash, secret string) (bool, error) {
	h.mu.Lock()
	h.work += max(1, 1<<clientauth.BcryptCost(hash))
	h.mu.Unlock()
	if h.err != nil {
		return false, h.err
	}
	return h.Hasher.Verify(ctx, id, hash, secret)
}

func (h *tallied) since(do func()) int {
	h.mu.Lock()
	before := h.work
	h.mu.Unlock()
	do()
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.work - before
}

// Whatever scheme and cost a row has, and whether there is a row, a refusal is
// the same work: who exists cannot be timed.
func TestEqualWorkWithMixedSchemes(t *testing.T) {
	cheap, dear := clientauth.CheapBcrypt(4), clientauth.CheapBcrypt(5)
	peppered := peppers(t, versioned("1", 'a'))
	slow, other := &tallied{Hasher: dear}, &counting{}
	w := newWorld(t, func(o *clientauth.Options) {
		o.Hasher, o.Others, o.Concurrency = slow, []clientauth.Hasher{peppered, other}, 2 // while one place rests
	})
	id := w.credential.ClientID
	refused := func(reason, clientID, secret string) {
		t.Helper()
		require.Equal(t, 1, other.since(func() {
			require.Equal(t, 1<<5, slow.since(func() {
				_, err := w.try(clientID, secret)
				sameRefusal(t, reason, err)
			}))
		}))
	}
	for _, h := range []clientauth.Hasher{cheap, dear, peppered, other} {
		hash, err := h.Hash(t.Context(), w.credential.ID, right)
		require.NoError(t, err)
		w.changeCredential(func(c *idp.Credential) { c.Secret, c.Status, c.ExpiresAt = hash, idp.CredentialActive, time.Time{} })
		refused(clientauth.ReasonClientUnknown, clientauth.NewClientID(), right)
		refused(clientauth.ReasonSecretWrong, id, "aidp_sk_wrong")
		_, err = w.try(id, right)
		require.NoError(t, err)
		w.changeCredential(func(c *idp.Credential) { c.Revoke(w.now()) })
		refused(clientauth.ReasonCredentialRevoked, id, right)
		refused(clientauth.ReasonSecretWrong, id, "aidp_sk_wrong")
	}
	w.changeCredential(func(c *idp.Credential) { c.Secret, c.Status = idp.SecretHash{}, idp.CredentialActive })
	refused(clientauth.ReasonSecretWrong, id, right)
}

// A right secret pays for its own row alone, and a cheap one does not wait for strangers.
func TestALightSchemeDoesNotStandInLine(t *testing.T) {
	peppered := peppers(t, versioned("1", 'a'))
	w := newWorld(t, func(o *clientauth.Options) {
		o.Others = []clientauth.Hasher{o.Hasher}
		o.Hasher, o.Concurrency, o.QueueLength, o.MaxWait = peppered, 1, 1, time.Minute
	})
	hash, err := w.auth.Hash(t.Context(), w.credential.ID, right)
	require.NoError(t, err)
	w.changeCredential(func(c *idp.Credential) { c.Secret = hash })
	release, flying := held(w)
	var strangers sync.WaitGroup
	for range 2 {
		strangers.Go(func() {
			_, err := w.try(clientauth.NewClientID(), right)
			require.True(t, apierr.Is(err, apierr.InvalidClient), "%v", err)
		})
	}
	w.eventually("the line is full", func() bool { return flying.Load() == 1 && w.waiting() == 1 })
	require.Zero(t, w.accepted(right))
	_, err = w.auth.Hash(t.Context(), w.credential.ID, right)
	require.NoError(t, err)
	for _, clientID := range []string{w.credential.ClientID, clientauth.NewClientID()} {
		_, err = w.try(clientID, "aidp_sk_wrong")
		require.Equal(t, "authentication_busy", reasonOf(err), "the same for both")
	}
	close(release)
	strangers.Wait()
}

// A secret that cannot be judged is nobody's fault: 503, and the log says why.
func TestAMissingPepperIsNoRefusal(t *testing.T) {
	hash, err := peppers(t, versioned("3", 'c')).Hash(t.Context(), "", right)
	require.NoError(t, err)
	w := newWorld(t, func(o *clientauth.Options) { o.Hasher = peppers(t, versioned("1", 'a')) })
	w.changeCredential(func(c *idp.Credential) { c.Secret = hash })
	_, err = w.try(w.credential.ClientID, right)
	require.True(t, apierr.Is(err, apierr.Unavailable), "%v", err)
	require.Equal(t, "secret_undecided", reasonOf(err))
	require.ErrorContains(t, err, "version 3 of the pepper")
	require.False(t, strings.Contains(apierr.From(err).Detail, "pepper"))
}

func TestASchemeThatCannotTellRefusesNobody(t *testing.T) {
	broken := &tallied{Hasher: peppers(t, versioned("1", 'a')), err: context.DeadlineExceeded}
	w := newWorld(t, func(o *clientauth.Options) { o.Others = []clientauth.Hasher{broken} })
	for _, clientID := range []string{w.credential.ClientID, clientauth.NewClientID()} {
		_, err := w.try(clientID, "aidp_sk_wrong")
		require.True(t, apierr.Is(err, apierr.Unavailable), "known or unknown: %v", err)
	}
	w.accepted(right)
}

func TestTwoHashersOfOneScheme(t *testing.T) {
	w := newWorld(t, nil)
	_, err := clientauth.New(clientauth.Options{DB: w.db, Hasher: &counting{}, Others: []clientauth.Hasher{&counting{}}})
	require.ErrorContains(t, err, "counting")
}
