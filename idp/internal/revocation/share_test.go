package revocation_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/revocation"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

// countedDB counts views, and makes them wait or fail when told.
type countedDB struct {
	store.DB
	views atomic.Int64
	hold  atomic.Pointer[chan struct{}]
	fail  atomic.Bool
}

func (d *countedDB) View(ctx context.Context, fn func(context.Context, *store.Tx) error) error {
	d.views.Add(1)
	if hold := d.hold.Load(); hold != nil {
		<-*hold
	}
	if d.fail.Load() {
		return errors.Join(store.ErrUnavailable, errors.New("switched off"))
	}
	return d.DB.View(ctx, fn)
}

// A signal wakes a fleet, which shares what is read. How many readings it takes
// depends on how fast each is: TestReadingsAreShared counts them.
func TestOnePageForAFleet(t *testing.T) {
	const fleet = 200
	w := newWorld(t)
	db := &countedDB{DB: w.db}
	service, err := revocation.Open(w.ctx, revocation.Options{DB: db, Log: w.log, Keys: w.issuer.Keys(), Signer: w.signer, Issuer: issuerURL, Now: w.now})
	require.NoError(t, err)
	cursor := w.snapshot("").Cursor

	gate := make(chan struct{})
	db.hold.Store(&gate)
	var polls sync.WaitGroup
	results := make([]revocation.Result, fleet)
	for i := range results {
		polls.Go(func() {
			var err error
			if results[i], err = service.Poll(w.ctx, cursor, 30*time.Second); err != nil {
				t.Error(err)
			}
		})
	}
	require.Eventually(t, func() bool { return db.views.Load() == 1 }, time.Minute, time.Millisecond)
	db.hold.Store(nil)
	close(gate)
	// All have read and wait when nothing is read any more.
	var before int64
	require.Eventually(t, func() bool {
		quiet := before == db.views.Load()
		before = db.views.Load()
		return quiet
	}, time.Minute, 100*time.Millisecond)
	_, _, err = w.Create(w.ctx, w.root, revocation.NewRevocation{Type: "jti", ID: "j1"})
	require.NoError(t, err)
	polls.Wait()
	for _, result := range results {
		require.Len(t, result.Page.Entries, 1)
		require.Equal(t, results[0].Body, result.Body)
	}
}

// Everybody who waits for a reading that fails is told; the next one is new.
func TestASharedFailure(t *testing.T) {
	w := newWorld(t)
	db := &countedDB{DB: w.db}
	service, err := revocation.Open(w.ctx, revocation.Options{DB: db, Log: w.log, Keys: w.issuer.Keys(), Signer: w.signer, Issuer: issuerURL, Now: w.now})
	require.NoError(t, err)
	cursor := w.snapshot("").Cursor
	db.fail.Store(true)
	_, err = service.Poll(w.ctx, cursor, 0)
	require.ErrorIs(t, err, store.ErrUnavailable)
	db.fail.Store(false)
	result, err := service.Poll(w.ctx, cursor, 0)
	require.NoError(t, err)
	require.JSONEq(t, `{"epoch":"`+result.Page.Epoch+`","cursor":"`+cursor+`","entries":[]}`, string(result.Body))
}
