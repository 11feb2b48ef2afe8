package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

func TestTranslate(t *testing.T) {
	require.NoError(t, translate(nil))
	require.ErrorIs(t, translate(pgx.ErrNoRows), idp.ErrNotFound)
	require.ErrorIs(t, translate(context.DeadlineExceeded), store.ErrUnavailable)
	require.ErrorIs(t, translate(&pgconn.ConnectError{}), store.ErrUnavailable)
	require.Equal(t, errCaller, translate(errCaller))
	for state, want := range map[string]error{
		"23505": idp.ErrConflict,
		"08006": store.ErrUnavailable, "08P01": store.ErrUnavailable, "25006": store.ErrUnavailable, "25P03": store.ErrUnavailable,
		"25P04": store.ErrUnavailable, "53100": store.ErrUnavailable, "53300": store.ErrUnavailable, "55P03": store.ErrUnavailable,
		"57014": store.ErrUnavailable, "57P01": store.ErrUnavailable, "57P02": store.ErrUnavailable, "57P03": store.ErrUnavailable,
		"58030": store.ErrUnavailable, "XX001": store.ErrUnavailable, "XX002": store.ErrUnavailable,
		"23503": nil, "23514": nil, "42601": nil, "42501": nil, "XX000": nil, "40001": nil, "P0001": nil,
	} {
		err := translate(fmt.Errorf("some: %w", &pgconn.PgError{Code: state}))
		require.Equal(t, state, code(err))
		require.Equal(t, errors.Is(want, idp.ErrConflict), errors.Is(err, idp.ErrConflict), state)
		require.Equal(t, errors.Is(want, store.ErrUnavailable), errors.Is(err, store.ErrUnavailable), state)
		require.Equal(t, slices.Contains([]string{"55P03", "57014", "XX001", "XX002"}, state), errors.Is(err, store.ErrStatement), state)
	}
	deadlock := &pgconn.PgError{Code: codeDeadlock}
	require.True(t, repeatable(fmt.Errorf("some: %w", deadlock)))
	require.False(t, repeatable(fmt.Errorf("%w: %w", store.ErrUnknown, deadlock)), "it may have been committed")
	require.Equal(t, errCaller, also(errCaller, nil))
	require.ErrorIs(t, also(errCaller, errOver), errOver)
}

// raising makes the server answer with a SQLSTATE.
func raising(ctx context.Context, t *transaction, state string) error {
	_, err := t.exec(ctx, "DO $$ BEGIN RAISE EXCEPTION 'test' USING ERRCODE = '"+state+"'; END $$")
	return err
}

func TestConflictingTransactionsAreRepeatedButNotForEver(t *testing.T) {
	s := opened(t)
	for _, state := range []string{codeSerialization, codeDeadlock} {
		runs := 0
		require.NoError(t, s.update(t.Context(), func(ctx context.Context, tx *transaction) error {
			if err := put(ctx, tx.tx(), fmt.Sprintf("%s-%d", state, runs)); err != nil {
				return err
			}
			if runs++; runs < 3 {
				return raising(ctx, tx, state)
			}
			return nil
		}))
		require.Equal(t, 3, runs)
		runs = 0
		err := s.update(t.Context(), func(ctx context.Context, tx *transaction) error {
			runs++
			return raising(ctx, tx, state)
		})
		require.ErrorIs(t, err, store.ErrUnavailable)
		require.Equal(t, attempts, runs)
	}
	ctx, end := context.WithCancel(t.Context())
	require.ErrorIs(t, s.update(ctx, func(ctx context.Context, tx *transaction) error {
		defer end()
		return raising(ctx, tx, codeDeadlock)
	}), context.Canceled)
}

// A write that failed for want of space makes Ping write, until that works.
func TestFullDiskHeals(t *testing.T) {
	s := opened(t)
	require.ErrorIs(t, s.update(t.Context(), func(ctx context.Context, tx *transaction) error {
		require.NoError(t, put(ctx, tx.tx(), "a"))
		return raising(ctx, tx, "53100")
	}), store.ErrUnavailable)
	require.True(t, s.suspect.Load())
	require.NoError(t, s.Ping(t.Context()))
	require.False(t, s.suspect.Load())
}

func TestNothingRunsAfterABrokenStatement(t *testing.T) {
	s := opened(t)
	err := s.update(t.Context(), func(ctx context.Context, tx *transaction) error {
		require.NoError(t, put(ctx, tx.tx(), "before"))
		err := tx.savepoint(ctx, func(ctx context.Context) error { return raising(ctx, tx, "53100") })
		require.ErrorIs(t, err, store.ErrUnavailable)
		require.ErrorIs(t, put(ctx, tx.tx(), "after"), store.ErrUnavailable, "not even a savepoint mends it")
		require.ErrorIs(t, tx.savepoint(ctx, func(context.Context) error { return nil }), store.ErrUnavailable)
		return nil // as if the caller had swallowed it
	})
	require.ErrorIs(t, err, store.ErrUnavailable)
	require.NoError(t, s.Ping(t.Context()))
}

func TestBrokenRulesAreFaultsNotConflicts(t *testing.T) {
	s := opened(t)
	for name, write := range map[string]func(context.Context, *store.Tx) error{
		"foreign key": func(ctx context.Context, tx *store.Tx) error {
			return tx.Agents.Insert(ctx, idp.Agent{ID: "a", OrganizationID: "none", Status: idp.Active})
		},
		"check": func(ctx context.Context, tx *store.Tx) error {
			return tx.Keys.Insert(ctx, store.Key{ID: "k", Status: "odd", Public: []byte{1}, Sealed: []byte{1}})
		},
		"no JSON": func(ctx context.Context, tx *store.Tx) error {
			if err := tx.Organizations.Insert(ctx, idp.Organization{ID: "acme"}); err != nil {
				return err
			}
			return tx.Agents.Insert(ctx, idp.Agent{ID: "a", OrganizationID: "acme", Status: idp.Active, Metadata: []byte("{")})
		},
		"text that is none": func(ctx context.Context, tx *store.Tx) error { return put(ctx, tx, "a\x00b") },
	} {
		err := s.Update(t.Context(), write)
		require.Error(t, err, name)
		require.NotErrorIs(t, err, idp.ErrConflict, name)
		require.NotErrorIs(t, err, store.ErrUnavailable, name)
		require.NoError(t, s.Update(t.Context(), putting(name)), "the connection serves on")
	}
}

func TestSavepointThatSwallowsAnErrorFails(t *testing.T) {
	s := opened(t)
	o := idp.Organization{ID: "acme"}
	require.NoError(t, s.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		require.NoError(t, tx.Organizations.Insert(ctx, o))
		require.ErrorIs(t, tx.Savepoint(ctx, func(ctx context.Context) error {
			require.NoError(t, put(ctx, tx, "lost"))
			require.ErrorIs(t, tx.Organizations.Insert(ctx, o), idp.ErrConflict)
			return nil
		}), idp.ErrConflict)
		return tx.Savepoint(ctx, func(ctx context.Context) error {
			_, err := tx.Settings.Get(ctx, "lost")
			require.ErrorIs(t, err, idp.ErrNotFound)
			return put(ctx, tx, "kept")
		})
	}))
}

func TestSlowStatementsEnd(t *testing.T) {
	s := brisk(t, fresh(t))
	const slow = "SELECT 1 FROM pg_sleep(20)"
	sleep := func(ctx context.Context, tx *transaction) error {
		_, err := tx.number(ctx, slow)
		return err
	}
	for name, run := range map[string]func(context.Context, func(context.Context, *transaction) error) error{"update": s.update, "view": s.view} {
		require.ErrorIs(t, run(t.Context(), sleep), store.ErrUnavailable, name)
		require.NoError(t, s.Ping(t.Context()))
	}
	hurried, end := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer end()
	require.ErrorIs(t, s.view(hurried, sleep), context.DeadlineExceeded)
	require.NoError(t, s.view(t.Context(), func(ctx context.Context, tx *transaction) error {
		return tx.patient(10*time.Second, func() error {
			_, err := tx.number(ctx, "SELECT 1 FROM pg_sleep(2)")
			return err
		})
	}), "a verification may take longer")
}

func TestTransactionIsOverWithItsFunction(t *testing.T) {
	s := opened(t)
	var leaked *store.Tx
	keep := func(_ context.Context, tx *store.Tx) error { leaked = tx; return nil }
	require.NoError(t, s.Update(t.Context(), keep))
	require.ErrorIs(t, put(t.Context(), leaked, "a"), errOver)
	require.ErrorIs(t, leaked.Savepoint(t.Context(), func(context.Context) error { return nil }), errOver)
	require.NoError(t, s.View(t.Context(), keep))
	_, err := leaked.Settings.Get(t.Context(), "a")
	require.ErrorIs(t, err, errOver)
}

func TestWritersAndViewsWaitUntilTheirContextEnds(t *testing.T) {
	s := openWith(t, Options{URL: fresh(t), MaxConns: minimalConns, Patience: 1})
	inside := func(context.Context, *store.Tx) error { t.Error("inside"); return nil }
	nested := func(run func(context.Context, func(context.Context, *store.Tx) error) error) {
		require.NoError(t, run(t.Context(), func(context.Context, *store.Tx) error {
			hurried, end := context.WithTimeout(t.Context(), time.Millisecond)
			defer end()
			require.ErrorIs(t, run(hurried, inside), context.DeadlineExceeded)
			require.ErrorIs(t, run(t.Context(), inside), store.ErrUnavailable, "nor for ever")
			return nil
		}))
	}
	nested(s.Update)
	nested(s.View)
	require.NoError(t, s.View(t.Context(), func(context.Context, *store.Tx) error {
		return s.Update(t.Context(), putting("a")) // views leave the writer a connection
	}))
}

func TestCloseWaitsForTransactionsAndTurnsAwayTheRest(t *testing.T) {
	s, err := Open(t.Context(), Options{URL: fresh(t)})
	require.NoError(t, err)
	release, started := make(chan struct{}), make(chan struct{}, 2)
	hold := func(context.Context, *store.Tx) error {
		started <- struct{}{}
		<-release
		return nil
	}
	outcomes, closed := make(chan error, 3), make(chan error)
	go func() { outcomes <- s.Update(t.Context(), hold) }()
	go func() { outcomes <- s.View(t.Context(), hold) }()
	<-started
	<-started
	go func() { outcomes <- s.Update(t.Context(), putting("late")) }() // waits for its turn, which never comes
	go func() { closed <- s.Close() }()
	require.ErrorIs(t, <-outcomes, store.ErrUnavailable)
	select {
	case <-closed:
		require.Fail(t, "closed under an open transaction")
	default:
	}
	close(release)
	require.NoError(t, <-outcomes)
	require.NoError(t, <-outcomes)
	require.NoError(t, <-closed)
}

// Whoever makes another error of what broke a transaction hides nothing.
func TestSavepointTellsWhatBrokeTheTransaction(t *testing.T) {
	s := opened(t)
	require.ErrorIs(t, s.update(t.Context(), func(ctx context.Context, tx *transaction) error {
		err := tx.savepoint(ctx, func(ctx context.Context) error {
			require.Error(t, raising(ctx, tx, codeCanceled))
			return errCaller
		})
		require.ErrorIs(t, err, errCaller)
		return err
	}), store.ErrStatement)
}
