package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

// exhaust lets the file grow by so many pages only, and returns what lifts that.
func exhaust(t *testing.T, s *Store, pages int) (lift func()) {
	t.Helper()
	var used int
	require.NoError(t, s.writer.conn.QueryRowContext(t.Context(), "PRAGMA page_count").Scan(&used))
	limit := func(to int) {
		_, err := s.writer.conn.ExecContext(t.Context(), fmt.Sprintf("PRAGMA max_page_count = %d", to))
		require.NoError(t, err)
	}
	limit(used + pages)
	return func() { limit(1 << 30) }
}

// fill writes more than an exhausted file takes.
func fill(ctx context.Context, tx *store.Tx) error {
	_, err := tx.Settings.PutIfAbsent(ctx, "big", string(bytes.Repeat([]byte("x"), 1<<20)))
	return err
}

func TestFullDiskHeals(t *testing.T) {
	s := memory(t)
	lift := exhaust(t, s, 1)
	require.ErrorIs(t, s.Update(t.Context(), fill), store.ErrUnavailable)
	require.False(t, has(t, s, "big"))
	require.NoError(t, s.Ping(t.Context()), "a small write still fits, so it heals")
	require.ErrorIs(t, s.Update(t.Context(), fill), store.ErrUnavailable)
	lift()
	require.NoError(t, s.Update(t.Context(), fill))
	require.True(t, has(t, s, "big"))
	require.NoError(t, s.Ping(t.Context()))
	select {
	case <-s.Failed():
		require.Fail(t, "a full disk is not final")
	default:
	}
}

// SQLite may roll the whole transaction back under a statement that fails so.
// What follows must not commit by itself.
func TestNothingRunsAfterABrokenStatement(t *testing.T) {
	s := memory(t)
	defer exhaust(t, s, 1)()
	err := s.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		require.NoError(t, put(ctx, tx, "before"))
		err := tx.Savepoint(ctx, func(ctx context.Context) error { return fill(ctx, tx) })
		require.ErrorIs(t, err, store.ErrUnavailable)
		require.ErrorIs(t, put(ctx, tx, "after"), store.ErrUnavailable)
		require.ErrorIs(t, tx.Savepoint(ctx, func(context.Context) error { return nil }), store.ErrUnavailable)
		_, err = tx.Settings.Get(ctx, "before")
		require.ErrorIs(t, err, store.ErrUnavailable)
		return nil // as if the caller had swallowed it
	})
	require.ErrorIs(t, err, store.ErrUnavailable)
	require.False(t, has(t, s, "before"))
	require.False(t, has(t, s, "after"))
}

func TestBrokenRulesAreFaultsNotConflicts(t *testing.T) {
	s := memory(t)
	for name, write := range map[string]func(context.Context, *store.Tx) error{
		"foreign key": func(ctx context.Context, tx *store.Tx) error {
			return tx.Agents.Insert(ctx, idp.Agent{ID: "a", OrganizationID: "none", Status: idp.Active})
		},
		"check": func(ctx context.Context, tx *store.Tx) error {
			return tx.Keys.Insert(ctx, store.Key{ID: "k", Status: "odd", Public: []byte{1}, Sealed: []byte{1}})
		},
		"tree shape": func(ctx context.Context, tx *store.Tx) error {
			return tx.Tree.Append(ctx, 0, [][32]byte{{}, {}}, 1)
		},
		"shrinking tree": func(ctx context.Context, tx *store.Tx) error { return tx.Tree.Append(ctx, 0, nil, -1) },
	} {
		err := s.Update(t.Context(), write)
		require.Error(t, err, name)
		require.NotErrorIs(t, err, idp.ErrConflict, name)
		require.NotErrorIs(t, err, store.ErrUnavailable, name)
	}
	require.NoError(t, s.Ping(t.Context()))
}

// A tree whose chunks do not fit its head was edited: no append covers that up.
func TestEditedTreeIsNotExtended(t *testing.T) {
	s := memory(t)
	require.NoError(t, s.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		return tx.Tree.Append(ctx, 0, [][32]byte{{1}}, 1)
	}))
	for _, edit := range []string{"DROP TRIGGER tree_hashes_only_grow", "UPDATE tree_hashes SET hashes = zeroblob(64)"} {
		_, err := s.writer.conn.ExecContext(t.Context(), edit)
		require.NoError(t, err)
	}
	require.ErrorContains(t, s.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		return tx.Tree.Append(ctx, 1, [][32]byte{{2}, {3}}, 2)
	}), "tree hashes end at 64 bytes")
}

func TestTranslate(t *testing.T) {
	require.NoError(t, translate(nil))
	require.ErrorIs(t, translate(sql.ErrNoRows), idp.ErrNotFound)
	require.ErrorIs(t, translate(sql.ErrConnDone), store.ErrUnavailable)
	require.Equal(t, errCaller, translate(errCaller))
	require.Equal(t, errCaller, also(errCaller, nil))
	require.ErrorIs(t, also(errCaller, errOver), errOver)
}

func TestRefusalKeepsItsFirstCause(t *testing.T) {
	h := newHealth()
	require.NoError(t, h.refusal())
	require.ErrorIs(t, h.fail(errCaller), store.ErrUnavailable)
	require.ErrorIs(t, h.fail(errors.New("second")), store.ErrUnavailable)
	require.ErrorIs(t, h.refusal(), errCaller)
	require.ErrorIs(t, h.refusal(), store.ErrUnavailable)
}
