package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sentryagent/agentidp/idp/internal/failpoint"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

const (
	resolveLimit = 5500 * time.Millisecond // beyond idle_in_transaction_session_timeout, which ends what the server still waits for
	reachLimit   = 1500 * time.Millisecond // within that, for a server that cannot be asked at all
	resolvePause = 50 * time.Millisecond
)

// identity is how a transaction is found again after its connection was lost.
type identity struct {
	transaction string // full transaction id (xid8)
	timeline    string // a promoted standby may give the same id to another transaction
	durable     bool   // the server's settings make the commit durable
	replicated  bool   // a commit waits for a standby
}

func scanIdentity(r row) (i identity, err error) {
	err = r.Scan(&i.transaction, &i.timeline, &i.durable, &i.replicated)
	return i, err
}

const announceChange = `UPDATE changes SET number = number + 1 WHERE id = 1 RETURNING pg_notify('agentidp_changed', '')`

const commit = `COMMIT`

// commit makes the transaction durable. It is not interrupted: the caller
// would not know what happened.
func (s *Store) commit(ctx context.Context, t *transaction) error {
	if t.announce {
		t.ahead = append(t.ahead, announceChange)
	}
	if err := failpoint.Error(failpoint.StoreCommit, ctx.Err()); err != nil {
		return err
	}
	sent, done := context.WithTimeout(context.WithoutCancel(ctx), statementLimit)
	defer done()
	err := failpoint.Error(failpoint.StoreCommitted, t.sendCommit(sent))
	if err != nil && (code(err) == "" || t.conn.Conn().IsClosed()) {
		t.lose(err)
		err = s.resolve(ctx, t, err)
	}
	if err != nil {
		return translate(err)
	}
	if t.announce {
		s.watchers.signal()
	}
	return nil
}

var errUndone = errors.New("the server rolled the transaction back")

// sendCommit takes one round trip with all that is still to go out.
func (t *transaction) sendCommit(ctx context.Context) error {
	statements := strings.Join(append(t.ahead, commit), "; ")
	t.ahead = nil
	results, err := t.conn.Conn().PgConn().Exec(ctx, statements).ReadAll()
	if err != nil {
		return err
	}
	if results[len(results)-1].CommandTag.String() != commit {
		return fmt.Errorf("%w: %w", store.ErrUnavailable, errUndone)
	}
	return nil
}

const commitOutcome = `
SELECT substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8) = $2, coalesce(pg_xact_status($1::text::xid8), 'unknown')`

// resolve finds out on another connection whether the transaction was
// committed after all. Without that the caller might write it twice. What was
// to wait for a standby stays unknown: the wait has ended, nobody says how.
func (s *Store) resolve(ctx context.Context, t *transaction, lost error) error {
	started := time.Now()
	limited, done := context.WithTimeout(context.WithoutCancel(ctx), resolveLimit)
	defer done()
	for {
		outcome, err := s.outcome(limited, t.id)
		switch {
		case err == nil && outcome == "committed" && !t.id.replicated:
			return nil
		case err == nil && outcome == "aborted":
			return fmt.Errorf("%w: the commit was cut off and nothing was done: %w", store.ErrUnavailable, lost)
		case err == nil && outcome != "in progress":
			return fmt.Errorf("%w: %w", store.ErrUnknown, lost)
		case err != nil && time.Since(started) > reachLimit:
			return fmt.Errorf("%w: %w", store.ErrUnknown, errors.Join(lost, err))
		}
		pause := time.NewTimer(resolvePause)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return fmt.Errorf("%w: %w", store.ErrUnknown, errors.Join(lost, ctx.Err()))
		case <-limited.Done():
			pause.Stop()
			return fmt.Errorf("%w: %w", store.ErrUnknown, lost)
		}
	}
}

// outcome asks on a connection made for it: the pool's may be as dead as the one that was lost.
func (s *Store) outcome(ctx context.Context, id identity) (string, error) {
	ctx, done := context.WithTimeout(ctx, reachLimit)
	defer done()
	conn, err := pgx.ConnectConfig(ctx, s.pool.Config().ConnConfig)
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx) //nolint:errcheck // read only
	var sameTimeline bool
	var outcome string
	if err := conn.QueryRow(ctx, commitOutcome, id.transaction, id.timeline).Scan(&sameTimeline, &outcome); err != nil {
		return "", err
	}
	if !sameTimeline {
		return "unknown", nil
	}
	return outcome, nil
}
