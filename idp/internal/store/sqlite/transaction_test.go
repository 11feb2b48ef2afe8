package sqlite

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/store"
)

var errCaller = errors.New("caller's own")

func TestTransactionIsOverWithItsFunction(t *testing.T) {
	s := memory(t)
	var leaked *store.Tx
	keep := func(_ context.Context, tx *store.Tx) error { leaked = tx; return nil }
	require.NoError(t, s.Update(t.Context(), keep))
	require.ErrorIs(t, put(t.Context(), leaked, "a"), errOver)
	require.ErrorIs(t, leaked.Savepoint(t.Context(), func(context.Context) error { return nil }), errOver)
	_, err := leaked.Keys.List(t.Context(), store.UseToken)
	require.ErrorIs(t, err, errOver)
	require.NoError(t, s.View(t.Context(), keep))
	_, err = leaked.Settings.Get(t.Context(), "a")
	require.ErrorIs(t, err, errOver)
}

func TestWritersTakeTurnsUntilTheirContextEnds(t *testing.T) {
	s := memory(t)
	require.NoError(t, s.Update(t.Context(), func(context.Context, *store.Tx) error {
		hurried, end := context.WithTimeout(t.Context(), time.Millisecond)
		defer end()
		err := s.Update(hurried, func(context.Context, *store.Tx) error { t.Error("two writers"); return nil })
		require.ErrorIs(t, err, context.DeadlineExceeded)
		return nil
	}))
}

func TestViewsWaitForAFreeConnection(t *testing.T) {
	s := memory(t)
	release, busy := make(chan struct{}), make(chan struct{}, readerLimit)
	var views sync.WaitGroup
	for range readerLimit {
		views.Go(func() {
			err := s.View(t.Context(), func(context.Context, *store.Tx) error {
				busy <- struct{}{}
				<-release
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	for range readerLimit {
		<-busy
	}
	hurried, end := context.WithTimeout(t.Context(), time.Millisecond)
	defer end()
	require.ErrorIs(t, s.View(hurried, func(context.Context, *store.Tx) error { return nil }), context.DeadlineExceeded)
	close(release)
	views.Wait()
	require.NoError(t, s.Ping(t.Context()))
	require.LessOrEqual(t, len(s.readers.idle), readerLimit)
}

func TestCloseWaitsForTransactionsAndTurnsAwayTheRest(t *testing.T) {
	s, err := OpenMemory(t.Context())
	require.NoError(t, err)
	release, closed := make(chan struct{}), make(chan error)
	var running sync.WaitGroup
	started := make(chan struct{}, 2)
	hold := func(context.Context, *store.Tx) error {
		started <- struct{}{}
		<-release
		return nil
	}
	outcomes := make(chan error, 3)
	running.Go(func() { outcomes <- s.Update(t.Context(), hold) })
	running.Go(func() { outcomes <- s.View(t.Context(), hold) })
	<-started
	<-started
	running.Go(func() { // waits for its turn, which never comes
		outcomes <- s.Update(t.Context(), func(context.Context, *store.Tx) error { return errCaller })
	})
	go func() { closed <- s.Close() }()
	require.ErrorIs(t, <-outcomes, store.ErrUnavailable)
	select {
	case <-closed:
		require.Fail(t, "closed under an open transaction")
	default:
	}
	close(release)
	running.Wait()
	require.NoError(t, <-outcomes)
	require.NoError(t, <-outcomes)
	require.NoError(t, <-closed)
}

func TestLongListEndsWithItsContext(t *testing.T) {
	s := memory(t)
	const endless = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n`
	hurried, end := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer end()
	err := s.view(hurried, func(ctx context.Context, tx *transaction) error {
		_, err := list(ctx, tx, endless, scanNumber)
		return err
	})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NoError(t, s.Ping(t.Context()), "the connection serves on")
}

func TestReplaceCannotEditTheLog(t *testing.T) {
	s := memory(t)
	require.NoError(t, s.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		return tx.Events.Append(ctx, []store.EventRow{benchEvent(0), benchEvent(1)})
	}))
	for _, tamper := range []string{
		"INSERT OR REPLACE INTO events SELECT sequence, event_id, organization_id, 'x', action, outcome, timestamp, body FROM events WHERE sequence = 1",
		"INSERT OR REPLACE INTO events SELECT 2, event_id, organization_id, 'x', action, outcome, timestamp, body FROM events WHERE sequence = 1",
		"INSERT OR REPLACE INTO events SELECT 7, 'fresh', organization_id, 'x', action, outcome, timestamp, body FROM events WHERE sequence = 1",
		"UPDATE OR REPLACE events SET sequence = 0 WHERE sequence = 1",
	} {
		_, err := s.writer.conn.ExecContext(t.Context(), tamper)
		require.ErrorContains(t, err, "event", tamper)
	}
	require.NoError(t, s.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		if err := tx.Tree.Append(ctx, 0, [][32]byte{{1}}, 1); err != nil {
			return err
		}
		return tx.Tree.SaveCheckpoint(ctx, store.Checkpoint{Size: 1, Note: []byte("note")})
	}))
	for _, tamper := range []string{
		"UPDATE tree_hashes SET hashes = zeroblob(32)", "UPDATE tree_hashes SET hashes = x''", "DELETE FROM tree_hashes",
		"INSERT OR REPLACE INTO checkpoints (id, size, note, created_at) VALUES (1, 9, x'00', 0)",
	} {
		_, err := s.writer.conn.ExecContext(t.Context(), tamper)
		require.Error(t, err, tamper)
	}
}
