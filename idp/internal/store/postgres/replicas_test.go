package postgres

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

var noon = time.Date(2026, time.March, 14, 12, 0, 0, 0, time.UTC)

func revoking(ctx context.Context, tx *store.Tx) error {
	_, err := tx.Revocations.Append(ctx, idp.Revocation{Type: idp.RevokeKID, ID: "key", At: noon})
	return err
}

func TestWritersOfAllReplicasTakeTurns(t *testing.T) {
	address := fresh(t)
	replicas := []*Store{openURL(t, address), openURL(t, address)}
	require.NoError(t, replicas[0].Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		return tx.Organizations.Insert(ctx, idp.Organization{ID: "acme"})
	}))
	var inside atomic.Int32
	var writers sync.WaitGroup
	for n := range 8 {
		writers.Go(func() {
			for range 25 {
				err := replicas[n%2].Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
					if inside.Add(1) != 1 {
						t.Error("two writers at once")
					}
					defer inside.Add(-1)
					o, err := tx.Organizations.Get(ctx, "acme")
					if err != nil {
						return err
					}
					return tx.Organizations.Update(ctx, o)
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	require.NoError(t, replicas[1].View(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		o, err := tx.Organizations.Get(ctx, "acme")
		require.Equal(t, int64(200), o.Revision)
		return err
	}))
}

// A replica that stops in the middle gives the turn up, and is not told that
// it has written anything.
func TestPausedReplicaLosesItsTurn(t *testing.T) {
	t.Parallel()
	address := fresh(t)
	paused, other := brisk(t, address), brisk(t, address)
	holding, resume, outcome := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	goOn := sync.OnceFunc(func() { close(resume) })
	defer goOn()
	go func() {
		outcome <- paused.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			err := put(ctx, tx, "paused")
			close(holding)
			<-resume
			return err
		})
	}()
	<-holding
	began := time.Now()
	require.ErrorIs(t, other.Update(t.Context(), putting("other")), store.ErrUnavailable)
	require.Eventually(t, func() bool { return other.Update(t.Context(), putting("other")) == nil }, patience, glance)
	t.Logf("the turn was free after %v", time.Since(began).Round(time.Millisecond))
	goOn()
	require.ErrorIs(t, <-outcome, store.ErrUnavailable)
	require.Zero(t, settingsNamed(t, address, "paused"))
	require.NoError(t, paused.Update(t.Context(), putting("again")))
}

// listening opens a store whose listener hears.
func listening(t *testing.T, o Options) *Store {
	t.Helper()
	s := openWith(t, o)
	require.Eventually(t, func() bool { return s.listener.up.Load() }, patience, glance)
	return s
}

// hears demands that one store's watcher is told of another's change, and says how soon.
func hears(t *testing.T, watching, writing *Store, change func(context.Context, *store.Tx) error) {
	t.Helper()
	changed, stop := watching.Watch()
	defer stop()
	for len(changed) > 0 {
		<-changed
	}
	require.NoError(t, writing.Update(t.Context(), change))
	began := time.Now()
	select {
	case <-changed:
	case <-time.After(patience):
		require.Fail(t, "no signal")
	}
	t.Logf("told after %v", time.Since(began).Round(10*time.Microsecond))
}

func TestWatchersOfAllReplicasAreTold(t *testing.T) {
	address := fresh(t)
	one, two := listening(t, Options{URL: address}), listening(t, Options{URL: address})
	hears(t, two, one, revoking)
	hears(t, one, two, func(ctx context.Context, tx *store.Tx) error {
		return tx.Keys.Insert(ctx, store.Key{ID: "k", Use: store.UseToken, Status: store.KeyNext, Public: []byte{1}, Sealed: []byte{1}, CreatedAt: noon})
	})
	hears(t, one, two, func(ctx context.Context, tx *store.Tx) error {
		return tx.Savepoint(ctx, func(ctx context.Context) error { return tx.Keys.SetStatus(ctx, "k", store.KeyActive, noon) })
	})
}

// While nobody listens, changes are polled; a connection that died without a word is noticed.
func TestWatchersAreToldWithoutNotifications(t *testing.T) {
	t.Parallel()
	address := fresh(t)
	p, through := between(t, address)
	writing, watching := openURL(t, address), listening(t, Options{URL: address, DirectURL: through})
	changed, stop := watching.Watch()
	defer stop()
	p.open(false)
	p.freeze()
	began := time.Now()
	require.Eventually(t, func() bool { return !watching.listener.up.Load() }, patience, glance)
	t.Logf("the silence was noticed after %v", time.Since(began).Round(time.Millisecond))
	<-changed // whatever was missed meanwhile
	hears(t, watching, writing, revoking)
	p.open(true)
	require.Eventually(t, func() bool { return watching.listener.up.Load() }, patience, glance)
	hears(t, watching, writing, revoking)
}
