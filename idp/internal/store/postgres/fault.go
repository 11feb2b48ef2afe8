package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

var (
	errClosed     = fmt.Errorf("%w: closed", store.ErrUnavailable)
	errNotDurable = errors.New("fsync or synchronous_commit is off: a commit would not be durable")
)

// SQLSTATE codes, appendix A of the PostgreSQL manual.
const (
	codeReadOnly          = "25006" // read_only_sql_transaction
	codeIdleInTransaction = "25P03" // idle_in_transaction_session_timeout
	codeTransactionLimit  = "25P04" // transaction_timeout
	codeUnique            = "23505" // unique_violation
	codeSerialization     = "40001" // serialization_failure
	codeDeadlock          = "40P01" // deadlock_detected
	codeLockTimeout       = "55P03" // lock_not_available
	codeCanceled          = "57014" // query_canceled, by statement_timeout
	codeDataCorrupted     = "XX001"
	codeIndexCorrupted    = "XX002"
	classConnection       = "08"
	classResources        = "53" // disk full, out of memory, too many connections
	classOperator         = "57" // shutdown, cannot connect now
	classSystem           = "58" // I/O error
	classCorrupt          = "XX" // also internal errors, see unavailable
)

// code is the SQLSTATE of err; "" when the error is not the server's.
func code(err error) string {
	var failure *pgconn.PgError
	if errors.As(err, &failure) {
		return failure.Code
	}
	return ""
}

// translate turns what the server or the driver says into the store's
// sentinels. Foreign keys, checks and triggers are not among them: to break
// those is a fault.
func translate(err error) error {
	switch state := code(err); {
	case err == nil:
		return nil
	case errors.Is(err, pgx.ErrNoRows):
		return idp.ErrNotFound
	case state == codeUnique:
		return fmt.Errorf("%w: %w", idp.ErrConflict, err)
	case spoiled(state):
		return fmt.Errorf("%w: %w", store.ErrStatement, err)
	case unavailable(state), state == "" && severed(err):
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	default:
		return err
	}
}

// spoiled reports whether a server that is well gave up this statement: it took
// too long, waited for a lock too long, or met a page that is damaged.
func spoiled(state string) bool {
	switch state {
	case codeCanceled, codeLockTimeout, codeDataCorrupted, codeIndexCorrupted:
		return true
	default:
		return false
	}
}

func unavailable(state string) bool {
	switch state {
	case "":
		return false
	case codeReadOnly, codeIdleInTransaction, codeTransactionLimit:
		return true
	}
	switch state[:2] {
	case classConnection, classResources, classOperator, classSystem:
		return true
	default:
		return false
	}
}

// severed reports whether the error is the connection's, or a limit of ours.
func severed(err error) bool {
	var connect *pgconn.ConnectError
	return pgconn.Timeout(err) || pgconn.SafeToRetry(err) || errors.As(err, &connect) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// repeatable reports whether the server asks for the whole transaction again.
// What may have been committed is never written twice.
func repeatable(err error) bool {
	state := code(err)
	return (state == codeSerialization || state == codeDeadlock) && !errors.Is(err, store.ErrUnknown)
}

// ended is the caller's own context error when that is why err came about.
func ended(ctx context.Context, err error) error {
	if cause := ctx.Err(); cause != nil && errors.Is(err, store.ErrUnavailable) {
		return cause
	}
	return err
}

// note remembers whether the last write failed in a way that may heal.
func (s *Store) note(err error) error {
	if err == nil {
		s.suspect.Store(false)
	} else if errors.Is(err, store.ErrUnavailable) {
		s.suspect.Store(true)
	}
	return err
}

// also returns err itself, or both when there is a second that it does not hold.
func also(err, second error) error {
	if second == nil || errors.Is(err, second) {
		return err
	}
	return errors.Join(err, second)
}
