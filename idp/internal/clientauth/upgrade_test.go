package clientauth_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/clientauth"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/apierr"
)

// ledger makes changes durable and keeps their events; it may hold or refuse them.
type ledger struct {
	db     store.DB
	before atomic.Pointer[func() error] // runs before every commit

	mu     sync.Mutex
	events []idp.Event // guarded by mu
}

func (l *ledger) commit(ctx context.Context, change func(context.Context, *store.Tx) ([]idp.Event, error)) error {
	if before := l.before.Load(); before != nil {
		if err := (*before)(); err != nil {
			return err
		}
	}
	var events []idp.Event
	err := l.db.Update(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		events, err = change(ctx, tx)
		return err
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.events = append(l.events, events...)
	}
	return err
}

func (l *ledger) written() []idp.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]idp.Event(nil), l.events...)
}

// upgrading is a world whose rows move to its hasher.
func upgrading(t *testing.T, change func(*clientauth.Options)) (*world, *ledger) {
	l := &ledger{}
	w := newWorld(t, func(o *clientauth.Options) {
		l.db, o.Commit, o.Logger = o.DB, l.commit, slog.New(slog.DiscardHandler)
		if change != nil {
			change(o)
		}
	})
	return w, l
}

func (w *world) row() (c idp.Credential) {
	w.t.Helper()
	require.NoError(w.t, w.db.View(context.Background(), func(ctx context.Context, tx *store.Tx) (err error) {
		c, err = tx.Credentials.Get(ctx, w.agent.ID, w.credential.ID)
		return err
	}))
	return c
}

func (w *world) outdate() {
	w.t.Helper()
	w.changeCredential(func(c *idp.Credential) { c.Secret.Encoded = digest(right) + "old" })
}

func (w *world) upgrades(result string) float64 {
	return float64(w.set.GetOrCreateCounter(`agentidp_credential_upgrades_total{result="` + result + `"}`).Get())
}

func (w *world) eventually(what string, holds func() bool) {
	w.t.Helper()
	require.Eventually(w.t, holds, time.Minute, time.Millisecond, what)
}

// A row of bcrypt moves to a peppered digest when it is used, then to the next
// pepper, then back; each move is one event and costs no login.
func TestRowsMoveWhenTheyAreUsed(t *testing.T) {
	slow := clientauth.CheapBcrypt(4)
	first, second := peppers(t, versioned("1", 'a')), peppers(t, versioned("1", 'a'), versioned("2", 'b'))
	w, l := upgrading(t, func(o *clientauth.Options) { o.Hasher, o.Others = first, []clientauth.Hasher{slow} })
	imported, err := bcrypt.GenerateFromPassword([]byte(right), 4)
	require.NoError(t, err)
	w.changeCredential(func(c *idp.Credential) { c.Secret = idp.SecretHash{Scheme: "bcrypt", Encoded: string(imported)} })
	before := w.row()

	_, err = w.try(w.credential.ClientID, "aidp_sk_wrong")
	sameRefusal(t, clientauth.ReasonSecretWrong, err)
	gate, err := w.try(w.credential.ClientID, right)
	require.NoError(t, err)
	require.Equal(t, before, gate.Credential)
	w.eventually("moved", func() bool { return w.row().Secret.Scheme == clientauth.SchemeHMAC })
	after := w.row()
	require.True(t, first.Current(after.Secret))
	require.Equal(t, before.Version+1, after.Version)
	require.Equal(t, before.SecretSetAt, after.SecretSetAt, "the secret is as old as it was")
	w.eventually("counted", func() bool { return w.upgrades("done") == 1 })
	require.Equal(t, []idp.Event{{
		OrganizationID: idp.OperatorOrganization, Action: "credential.upgraded", Outcome: idp.Success,
		Metadata: map[string]any{
			"targetAgentId": w.agent.ID, "credentialId": w.credential.ID, "clientId": w.credential.ClientID, "from": "bcrypt", "to": "hmac-sha256",
		},
	}}, l.written())
	_, err = w.try(w.credential.ClientID, right)
	require.NoError(t, err)
	_, err = w.try(w.credential.ClientID, "aidp_sk_wrong")
	sameRefusal(t, clientauth.ReasonSecretWrong, err)
	require.Equal(t, after, w.row())

	for i, next := range []clientauth.Options{
		{Hasher: second, Others: []clientauth.Hasher{slow}}, {Hasher: slow, Others: []clientauth.Hasher{second}},
	} {
		next.DB, next.Commit, next.Now = w.db, l.commit, w.now
		auth, err := clientauth.New(next)
		require.NoError(t, err)
		_, err = auth.Authenticate(t.Context(), clientauth.Attempt{ClientID: w.credential.ClientID, Secret: right})
		require.NoError(t, err)
		w.eventually("moved on", func() bool { return len(l.written()) == i+2 })
		auth.Close()
		require.True(t, next.Hasher.Scheme() == w.row().Secret.Scheme && next.Hasher.Current(w.row().Secret))
	}
	require.True(t, slow.Candidate(w.row().Secret, right), "with its mark")
	require.False(t, slow.Candidate(w.row().Secret, differentMark(right)))
}

// What was proven stays proven: an upgrade does not make a client pay again.
func TestTheProofSurvivesAnUpgrade(t *testing.T) {
	w, l := upgrading(t, nil)
	w.outdate()
	require.Equal(t, 1, w.accepted(right))
	w.eventually("moved", func() bool { return len(l.written()) == 1 && w.upgrades("done") == 1 })
	w.auth.Settle()
	require.Zero(t, w.accepted(right), "proven already")
	require.Equal(t, 1, len(l.written()))
	w.refused(clientauth.ReasonSecretWrong, w.credential.ClientID, "aidp_sk_wrong")
}

// A remembered secret moves its row too, or one that is used often never would.
func TestARememberedSecretMovesItsRow(t *testing.T) {
	w, l := upgrading(t, nil)
	refuse := func() error { return errors.New("no audit log") }
	l.before.Store(&refuse)
	w.outdate()
	require.Equal(t, 1, w.accepted(right), "a failed upgrade is not the client's")
	w.remembered(right)
	w.eventually("failed", func() bool { return w.upgrades("failed") == 1 })
	l.before.Store(nil)
	require.Zero(t, w.accepted(right))
	require.Empty(t, l.written(), "a pause after a failure")
	w.forward(time.Minute)
	require.Zero(t, w.accepted(right))
	w.eventually("moved", func() bool { return len(l.written()) == 1 })
	require.Equal(t, 1.0, w.upgrades("failed"))
}

// Whoever changes the credential meanwhile wins.
func TestAConcurrentChangeBeatsAnUpgrade(t *testing.T) {
	for name, meanwhile := range map[string]func(w *world){
		"rotation":   func(w *world) { w.rotate("aidp_sk_next", 0) },
		"revocation": func(w *world) { w.changeCredential(func(c *idp.Credential) { c.Revoke(w.now()) }) },
	} {
		t.Run(name, func(t *testing.T) {
			w, l := upgrading(t, nil)
			w.outdate()
			var once sync.Once
			change := func() error { once.Do(func() { meanwhile(w) }); return nil }
			l.before.Store(&change)
			require.Equal(t, 1, w.accepted(right))
			w.eventually("lost", func() bool { return w.upgrades("lost") == 1 })
			require.Empty(t, l.written())
			require.NotEqual(t, digest(right), w.row().Secret.Encoded)
			_, err := w.try(w.credential.ClientID, right)
			require.True(t, apierr.Is(err, apierr.InvalidClient), "%v", err)
		})
	}
}

// A login that was proving the old hash while the upgrade committed is no wrong secret.
func TestALoginBesideAnUpgrade(t *testing.T) {
	w, _ := upgrading(t, nil)
	w.outdate()
	var once sync.Once
	w.hasher.during = func() {
		once.Do(func() { w.changeCredential(func(c *idp.Credential) { c.Secret.Encoded = digest(right) }) })
	}
	require.Equal(t, 2, w.accepted(right), "proven again")
}

func TestUpgradesAreFewAtOnce(t *testing.T) {
	w, l := upgrading(t, nil)
	w.outdate()
	inside, release := new(atomic.Int64), make(chan struct{})
	hold := func() error { inside.Add(1); <-release; return nil }
	l.before.Store(&hold)
	for range 20 {
		w.accepted(right)
	}
	w.eventually("one credential, one upgrade", func() bool { return inside.Load() == 1 })
	close(release)
	w.eventually("moved", func() bool { return w.upgrades("done") == 1 })
	require.Equal(t, int64(1), inside.Load())
}

// Close waits for what is under way and lets nothing begin.
func TestCloseEndsUpgrades(t *testing.T) {
	w, l := upgrading(t, nil)
	w.outdate()
	began, closed := make(chan struct{}), make(chan struct{})
	hold := func() error { close(began); <-closed; return context.Canceled }
	l.before.Store(&hold)
	w.accepted(right)
	<-began
	go func() { time.AfterFunc(time.Millisecond, func() { close(closed) }) }()
	w.auth.Close()
	select {
	case <-closed:
	default:
		t.Fatal("Close did not wait")
	}
	require.Zero(t, w.upgrades("failed"), "the end is no failure")
}

// The previous secret of an overlap is left alone: it ends soon, and its hash
// never gets into the place of the current one.
func TestTheOverlapIsNotUpgraded(t *testing.T) {
	w, l := upgrading(t, nil)
	next := differentMark(right)
	w.rotate(next, time.Hour)
	w.changeCredential(func(c *idp.Credential) { c.Secret.Encoded += "old"; c.Previous.Encoded += "old" })
	require.Equal(t, 1, w.accepted(right))
	w.remembered(right)
	w.auth.Close()
	require.Empty(t, l.written())
	require.Equal(t, digest(next)+"old", w.row().Secret.Encoded)
	require.Equal(t, digest(right)+"old", w.row().Previous.Encoded)
}
