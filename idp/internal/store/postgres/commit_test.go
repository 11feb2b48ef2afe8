package postgres

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/idp/internal/store/postgres/pgtest"
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
			open := openURL
			if fact.trick == hang {
				open = brisk // the server's limits end it
			}
			s := open(t, through)
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
	s := brisk(t, through)
	p.arm(vanish)
	err := s.Update(t.Context(), putting("a"))
	require.ErrorIs(t, err, store.ErrUnknown)
	require.ErrorIs(t, err, store.ErrUnavailable)
	require.Equal(t, 1, settingsNamed(t, direct, "a"))
	p.open(true)
	require.Eventually(t, func() bool { return s.Ping(t.Context()) == nil }, time.Minute, 20*time.Millisecond)
}

func TestResolvingEndsWithTheCaller(t *testing.T) {
	t.Parallel()
	direct := fresh(t)
	p, through := between(t, direct)
	s := brisk(t, through)
	ctx, end := context.WithCancel(t.Context())
	defer end()
	p.taken = end // the server goes on waiting for the COMMIT
	p.arm(hang)
	require.ErrorIs(t, s.Update(ctx, putting("a")), store.ErrUnknown)
}

// ask looks a transaction of the store up.
func ask(t *testing.T, s *Store, id identity) (committed bool) {
	t.Helper()
	committed, err := s.outcome(t.Context(), id)
	require.NoError(t, err)
	return committed
}

func TestOutcomeIsWhatTheWriterLeft(t *testing.T) {
	s := opened(t)
	var first, second, third identity
	run := func(id *identity, err error) {
		require.ErrorIs(t, s.update(t.Context(), func(_ context.Context, tx *transaction) error { *id = tx.id; return err }), err)
	}
	run(&first, errCaller)
	require.True(t, first.first)
	require.False(t, ask(t, s, first), "no row")
	run(&second, nil)
	require.True(t, ask(t, s, second))
	run(&third, errCaller)
	require.False(t, third.first)
	require.False(t, ask(t, s, third))
	require.NoError(t, s.update(t.Context(), func(ctx context.Context, tx *transaction) error {
		_, err := s.outcome(ctx, tx.id)
		require.ErrorIs(t, err, errOpen, "nothing is decided while it holds the lock")
		return nil
	}))
}

func TestOutcomeIsDecidedByTheRow(t *testing.T) {
	own := identity{number: 7, timeline: "1"}
	first, replicated := own, own
	first.first, replicated.replicated = true, true
	for name, fact := range map[string]struct {
		id       identity
		timeline string
		number   int64
		want     bool
		unclear  bool
	}{
		"it is there":                            {own, "1", 7, true, false},
		"the one before it is there":             {own, "1", 6, false, false},
		"the first one is not there":             {first, "1", 0, false, false},
		"the row is gone":                        {own, "1", 0, false, true},
		"the row is of a later one":              {own, "1", 8, false, true},
		"it is on the primary, to be replicated": {replicated, "1", 7, false, true},
		"it is not on the primary either":        {replicated, "1", 6, false, false},
		"a standby that has it took over":        {replicated, "2", 7, true, false},
		"a standby without it took over":         {own, "2", 6, false, true},
		"a standby without any took over":        {first, "2", 0, false, true},
	} {
		committed, err := fact.id.committed(fact.timeline, fact.number)
		require.Equal(t, fact.want, committed, name)
		require.Equal(t, fact.unclear, errors.Is(err, errUnclear), name)
	}
}

// A crash forgets a transaction id that was not on the disk, and the next
// transactions get it again: that those were committed says nothing.
func TestReusedTransactionIDProvesNothing(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, pgtest.Options{Conf: []string{"wal_writer_delay = 10s", "autovacuum = off"}})
	require.NoError(t, Migrate(t.Context(), server.URL("postgres"), quietly))
	s := openURL(t, server.URL("postgres"))
	require.NoError(t, s.Update(t.Context(), putting("before")))
	lost, err := s.beginWrite(t.Context())
	require.NoError(t, err)
	require.NoError(t, put(t.Context(), lost.tx(), "lost"))
	xid, err := get(t.Context(), lost, "SELECT pg_current_xact_id()::text", scanText)
	require.NoError(t, err)
	server.Restart(t, "immediate")
	others := openURL(t, server.URL("postgres"))
	require.Eventually(t, func() bool {
		require.NoError(t, others.Update(t.Context(), putting(time.Now().String())))
		return count(t, server.URL("postgres"), "SELECT (pg_current_xact_id() > $1::text::xid8)::integer", xid) == 1
	}, patience, time.Millisecond)
	require.Equal(t, 1, count(t, server.URL("postgres"), "SELECT (pg_xact_status($1::text::xid8) = 'committed')::integer", xid), "the id is another's")
	err = s.commit(t.Context(), lost)
	require.ErrorIs(t, err, store.ErrUnavailable)
	require.NotErrorIs(t, err, store.ErrUnknown)
	s.endWrite(t.Context(), lost)
	require.Zero(t, settingsNamed(t, server.URL("postgres"), "lost"))
	heals(t, s)
}

func TestWritersThatAreGoneAreForgotten(t *testing.T) {
	address := fresh(t)
	s := openURL(t, address)
	require.NoError(t, s.Update(t.Context(), putting("a")))
	require.NoError(t, execute(t.Context(), address, "INSERT INTO writers (id, number, at) SELECT 'gone' || n, 1, (extract(epoch FROM now() - interval '61 minutes') * 1000)::bigint FROM generate_series(1, 1001) AS n"))
	require.NoError(t, execute(t.Context(), address, "INSERT INTO writers (id, number, at) VALUES ('there', 1, (extract(epoch FROM now() - interval '59 minutes') * 1000)::bigint)"))
	require.NoError(t, s.Maintain(t.Context(), time.Now()))
	require.Equal(t, 3, count(t, address, "SELECT count(*) FROM writers"), "a thousand at a time")
	require.NoError(t, s.Maintain(t.Context(), time.Now()))
	require.Equal(t, 2, count(t, address, "SELECT count(*) FROM writers"))
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

// A restore of a hundred thousand organizations takes longer than a replica may hold the others up.
func TestWhatConcernsAllOrganizationsHasTime(t *testing.T) {
	s := brisk(t, fresh(t))
	require.NoError(t, s.update(t.Context(), func(ctx context.Context, tx *transaction) error {
		require.NoError(t, organizations{tx}.RaiseEpochs(ctx, 1))
		_, err := revocations{tx}.AppendOrganizations(ctx, "restored", time.Now())
		require.NoError(t, err)
		timeout, err := get(ctx, tx, "SELECT current_setting('statement_timeout')", scanText)
		require.Equal(t, "19s", timeout)
		require.Equal(t, statementLimit, tx.limit)
		return err
	}))
}
