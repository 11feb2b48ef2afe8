package postgres

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

// A connection that ends while COMMIT is under way leaves the outcome to be
// found out: never two rows, never a phantom.
func TestCutCommitIsResolved(t *testing.T) {
	for _, fact := range []struct {
		name  string
		trick trick
		want  error // nil: committed
		rows  int
	}{
		{"the server never saw it", before, store.ErrUnavailable, 0},
		{"the server did it", after, nil, 1},
		{"the server waits for it in vain", hang, store.ErrUnavailable, 0},
	} {
		t.Run(fact.name, func(t *testing.T) {
			t.Parallel()
			direct := fresh(t)
			p, through := between(t, direct)
			s := openURL(t, through)
			p.arm(fact.trick)
			err := s.Update(t.Context(), putting("a"))
			require.ErrorIs(t, err, fact.want)
			require.NotErrorIs(t, err, store.ErrUnknown)
			require.Equal(t, fact.rows, settingsNamed(t, direct, "a"))
			require.NoError(t, s.Update(t.Context(), putting("a")), "the store goes on")
			require.Equal(t, 1, settingsNamed(t, direct, "a"))
		})
	}
}

func TestCutCommitThatNobodyAnswersForIsUnknown(t *testing.T) {
	t.Parallel()
	direct := fresh(t)
	p, through := between(t, direct)
	s := openURL(t, through)
	p.arm(vanish)
	began := time.Now()
	err := s.Update(t.Context(), putting("a"))
	require.ErrorIs(t, err, store.ErrUnknown)
	require.ErrorIs(t, err, store.ErrUnavailable)
	require.Less(t, time.Since(began), 3*time.Second)
	require.Equal(t, 1, settingsNamed(t, direct, "a"))
	p.open(true)
	require.Eventually(t, func() bool { return s.Ping(t.Context()) == nil }, 10*time.Second, 20*time.Millisecond)
}

func TestResolvingEndsWithTheCaller(t *testing.T) {
	t.Parallel()
	direct := fresh(t)
	p, through := between(t, direct)
	s := openURL(t, through)
	p.arm(hang)
	ctx, end := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer end()
	began := time.Now()
	require.ErrorIs(t, s.Update(ctx, putting("a")), store.ErrUnknown)
	require.Less(t, time.Since(began), 2*time.Second)
}

// After a failover the same id may belong to another's transaction.
func TestOutcomeOnAnotherTimelineIsUnknown(t *testing.T) {
	s := opened(t)
	var id identity
	require.NoError(t, s.update(t.Context(), func(ctx context.Context, tx *transaction) error {
		id = tx.id
		_, err := tx.exec(ctx, pingWrite)
		return err
	}))
	outcome, err := s.outcome(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, "committed", outcome)
	require.ErrorIs(t, s.update(t.Context(), func(_ context.Context, tx *transaction) error { id = tx.id; return errCaller }), errCaller)
	outcome, err = s.outcome(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, "aborted", outcome)
	id.timeline = "0000002A"
	outcome, err = s.outcome(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, "unknown", outcome)
	_, err = s.outcome(t.Context(), identity{transaction: "1152921504606851976", timeline: "00000001"})
	require.ErrorContains(t, err, "in the future")
}

// A commit that waited for a standby in vain is on the primary only.
func TestCommitThatNoStandbyConfirmedIsUnknown(t *testing.T) {
	t.Parallel()
	server, s := own(t)
	server.Exec(t, "postgres", "ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
	server.Exec(t, "postgres", "SELECT pg_reload_conf()")
	require.Eventually(t, func() bool {
		return count(t, server.URL("postgres"), "SELECT length(current_setting('synchronous_standby_names'))") > 0
	}, patience, glance)
	require.ErrorIs(t, s.Update(t.Context(), putting("a")), store.ErrUnknown)
	server.Exec(t, "postgres", "ALTER SYSTEM RESET synchronous_standby_names")
	server.Exec(t, "postgres", "SELECT pg_reload_conf()")
	require.Eventually(t, func() bool { return s.Update(t.Context(), putting("b")) == nil }, patience, glance)
}

func TestSwallowedErrorDoesNotCommit(t *testing.T) {
	s := opened(t)
	err := s.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		require.NoError(t, put(ctx, tx, "before"))
		o := idp.Organization{ID: "acme"}
		require.NoError(t, tx.Organizations.Insert(ctx, o))
		require.ErrorIs(t, tx.Organizations.Insert(ctx, o), idp.ErrConflict)
		require.ErrorIs(t, put(ctx, tx, "after"), idp.ErrConflict, "nothing runs in an aborted transaction")
		return nil
	})
	require.ErrorIs(t, err, idp.ErrConflict)
	require.ErrorIs(t, s.View(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Settings.Get(ctx, "before")
		return err
	}), idp.ErrNotFound)
}
