package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/capability"
)

// row is what a scan function reads: one row of a result.
type row interface{ Scan(dest ...any) error }

// writable reports why the transaction cannot write.
func (t *transaction) writable() error {
	if !t.writing {
		return store.ErrReadOnly
	}
	return nil
}

// usable reports why no statement may run in the transaction now.
func (t *transaction) usable(ctx context.Context) error {
	switch {
	case t.over:
		return errOver
	case t.broken != nil:
		return t.broken
	default:
		return ctx.Err()
	}
}

// exec runs a writing statement and returns the number of rows it touched.
func (t *transaction) exec(ctx context.Context, query string, args ...any) (int64, error) {
	if err := t.writable(); err != nil {
		return 0, err
	}
	if err := t.usable(ctx); err != nil {
		return 0, err
	}
	touched, err := t.send(ctx, query, args, func(row) error { return nil })
	return touched, t.judge(ctx, err)
}

// number reads the single number of a query; idp.ErrNotFound when there is no row.
func (t *transaction) number(ctx context.Context, query string, args ...any) (int64, error) {
	return get(ctx, t, query, scanNumber, args...)
}

func scanNumber(r row) (n int64, err error) {
	err = r.Scan(&n)
	return n, err
}

// truth reads the single boolean of a query.
func (t *transaction) truth(ctx context.Context, query string, args ...any) (bool, error) {
	return get(ctx, t, query, scanTruth, args...)
}

func scanTruth(r row) (is bool, err error) {
	err = r.Scan(&is)
	return is, err
}

// get reads the first row of a query; idp.ErrNotFound when there is none.
func get[T any](ctx context.Context, t *transaction, query string, scan func(row) (T, error), args ...any) (T, error) {
	found, err := list(ctx, t, query, scan, args...)
	var none T
	switch {
	case err != nil:
		return none, err
	case len(found) == 0:
		return none, idp.ErrNotFound
	default:
		return found[0], nil
	}
}

// change runs a writing statement that returns a number.
func (t *transaction) change(ctx context.Context, query string, args ...any) (int64, error) {
	if err := t.writable(); err != nil {
		return 0, err
	}
	return t.number(ctx, query, args...)
}

// swap runs an optimistic update. When it touched no row, exists tells a lost
// race (idp.ErrConflict) from a missing row (idp.ErrNotFound).
func (t *transaction) swap(ctx context.Context, update string, args []any, exists string, key ...any) error {
	touched, err := t.exec(ctx, update, args...)
	if err != nil || touched == 1 {
		return err
	}
	if _, err := t.number(ctx, exists, key...); err != nil {
		return err
	}
	return fmt.Errorf("%w: changed meanwhile", idp.ErrConflict)
}

// touch runs an update that idp.ErrNotFound answers when it finds no row.
func (t *transaction) touch(ctx context.Context, update string, args ...any) error {
	touched, err := t.exec(ctx, update, args...)
	if err == nil && touched == 0 {
		return idp.ErrNotFound
	}
	return err
}

// list reads all rows of a query.
func list[T any](ctx context.Context, t *transaction, query string, scan func(row) (T, error), args ...any) ([]T, error) {
	if err := t.usable(ctx); err != nil {
		return nil, err
	}
	var found []T
	_, err := t.send(ctx, query, args, func(r row) error {
		item, err := scan(r)
		found = append(found, item)
		return err
	})
	if err != nil {
		return nil, t.judge(ctx, err)
	}
	return found, nil
}

// patient runs fn with another limit for each statement: a verification reads the whole log.
func (t *transaction) patient(limit time.Duration, fn func() error) error {
	before := t.limit
	t.limit = limit
	defer func() { t.limit = before }()
	return fn()
}

const (
	wholeLimit   = 20 * time.Second
	wholeTimeout = `SELECT set_config('statement_timeout', '19s', true)`
)

// whole runs fn, a statement on all rows of a table, with the time that takes.
// It is for a command while no replica serves: writers wait.
func (t *transaction) whole(fn func() error) error {
	t.ahead = append(t.ahead, wholeTimeout)
	return t.patient(wholeLimit, fn)
}

// errAhead says that not the statement itself failed, but what goes out with
// it: nobody knows where the transaction stands.
var errAhead = errors.New("statements ahead")

// send runs the statement after those ahead of it, all in one round trip, and
// reads every row. It returns the number of rows touched.
func (t *transaction) send(ctx context.Context, query string, args []any, read func(row) error) (int64, error) {
	if t.writing {
		ctx = context.WithoutCancel(ctx)
	}
	ctx, done := context.WithTimeout(ctx, t.limit)
	defer done()
	return t.exchange(ctx, query, args, read)
}

func (t *transaction) exchange(ctx context.Context, query string, args []any, read func(row) error) (int64, error) {
	if len(t.ahead) == 0 {
		rows, err := t.conn.Query(ctx, query, args...)
		if err != nil {
			return 0, err
		}
		return drain(rows, read)
	}
	batch := &pgx.Batch{}
	for _, statement := range t.ahead {
		batch.Queue(statement)
	}
	batch.Queue(query, args...)
	results := t.conn.SendBatch(ctx, batch)
	touched, err := t.results(results, read)
	t.ahead = nil
	if err != nil {
		_ = results.Close() // repeats the error
		return 0, err
	}
	return touched, results.Close()
}

func (t *transaction) results(results pgx.BatchResults, read func(row) error) (int64, error) {
	for range t.ahead {
		if _, err := results.Exec(); err != nil {
			return 0, fmt.Errorf("%w: %w", errAhead, err)
		}
	}
	rows, err := results.Query()
	if err != nil {
		return 0, err
	}
	return drain(rows, read)
}

func drain(rows pgx.Rows, read func(row) error) (int64, error) {
	defer rows.Close()
	for rows.Next() {
		if err := read(rows); err != nil {
			return 0, err
		}
	}
	return rows.CommandTag().RowsAffected(), rows.Err()
}

// simple runs a statement without arguments at once, by the simple protocol.
func (t *transaction) simple(ctx context.Context, statement string) error {
	ctx, done := context.WithTimeout(context.WithoutCancel(ctx), t.limit)
	defer done()
	return t.conn.Conn().PgConn().Exec(ctx, statement).Close()
}

// judge translates a statement's error and remembers that it aborted the transaction.
func (t *transaction) judge(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	t.lose(err)
	var failure *pgconn.PgError
	isServers := errors.As(err, &failure)
	translated := translate(err)
	if t.conn.Conn().IsClosed() && !errors.Is(translated, store.ErrUnavailable) {
		translated = fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	t.lost = t.lost || !isServers || errors.Is(err, errAhead) || errors.Is(translated, store.ErrUnavailable)
	t.broken = ended(ctx, translated)
	return t.broken
}

// lose remembers that the connection ended by itself, if it did.
func (t *transaction) lose(err error) {
	timedOut := pgconn.Timeout(err) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
	t.cut = t.cut || t.conn.Conn().IsClosed() && !timedOut
}

// optional is a time column's value: Unix milliseconds, NULL for the zero time.
func optional(at time.Time) any {
	if at.IsZero() {
		return nil
	}
	return at.UnixMilli()
}

// moment scans Unix milliseconds into a UTC time; NULL is the zero time.
type moment struct{ at *time.Time }

// Scan implements sql.Scanner.
func (m moment) Scan(value any) error {
	switch v := value.(type) {
	case nil:
		*m.at = time.Time{}
	case int64:
		*m.at = time.UnixMilli(v).UTC()
	default:
		return fmt.Errorf("time column holds %T", value)
	}
	return nil
}

// wholeSeconds is a duration column's value.
func wholeSeconds(d time.Duration) int64 { return int64(d / time.Second) }

// seconds scans whole seconds into a duration.
type seconds struct{ d *time.Duration }

// Scan implements sql.Scanner.
func (s seconds) Scan(value any) error {
	n, isNumber := value.(int64)
	if !isNumber {
		return fmt.Errorf("duration column holds %T", value)
	}
	*s.d = time.Duration(n) * time.Second
	return nil
}

// held scans an OAuth scope into a set.
type held struct{ set *capability.Set }

// Scan implements sql.Scanner.
func (h held) Scan(value any) error {
	text, isText := value.(string)
	if !isText {
		return fmt.Errorf("capability column holds %T", value)
	}
	set, err := capability.ParseScope(text)
	*h.set = set
	return err
}
