package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/capability"
)

// row is what a scan function reads: *sql.Row or *sql.Rows.
type row interface{ Scan(dest ...any) error }

// writable reports why the transaction cannot write.
func (t *transaction) writable() error {
	if t.health == nil {
		return store.ErrReadOnly
	}
	return nil
}

// exec runs a writing statement and returns the number of rows it touched.
func (t *transaction) exec(ctx context.Context, query string, args ...any) (int64, error) {
	if err := t.writable(); err != nil {
		return 0, err
	}
	if err := t.usable(ctx); err != nil {
		return 0, err
	}
	steady := context.WithoutCancel(ctx)
	statement, err := t.session.prepared(steady, query) //nolint:sqlclosecheck // the session closes it
	if err != nil {
		return 0, t.judge(err)
	}
	result, err := statement.ExecContext(steady, args...)
	if err != nil {
		return 0, t.judge(err)
	}
	return result.RowsAffected()
}

// number reads the single number of a query; idp.ErrNotFound when there is no row.
func (t *transaction) number(ctx context.Context, query string, args ...any) (int64, error) {
	return get(ctx, t, query, scanNumber, args...)
}

func scanNumber(r row) (n int64, err error) {
	err = r.Scan(&n)
	return n, err
}

// get reads the single row of a query; idp.ErrNotFound when there is none.
func get[T any](ctx context.Context, t *transaction, query string, scan func(row) (T, error), args ...any) (T, error) {
	var none T
	if err := t.usable(ctx); err != nil {
		return none, err
	}
	steady := context.WithoutCancel(ctx)
	statement, err := t.session.prepared(steady, query) //nolint:sqlclosecheck // the session closes it
	if err != nil {
		return none, t.judge(err)
	}
	found, err := scan(statement.QueryRowContext(steady, args...))
	if err != nil {
		return none, t.judge(err)
	}
	return found, nil
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

// list reads all rows of a query. In a view the end of ctx interrupts it.
func list[T any](ctx context.Context, t *transaction, query string, scan func(row) (T, error), args ...any) ([]T, error) {
	if err := t.usable(ctx); err != nil {
		return nil, err
	}
	steady := context.WithoutCancel(ctx)
	if t.health != nil {
		ctx = steady
	}
	statement, err := t.session.prepared(steady, query) //nolint:sqlclosecheck // the session closes it
	if err != nil {
		return nil, t.judge(err)
	}
	rows, err := statement.QueryContext(ctx, args...)
	if err != nil {
		return nil, t.judge(err)
	}
	defer rows.Close() //nolint:errcheck // Err below reports what ended the rows
	var found []T
	for rows.Next() {
		item, err := scan(rows)
		if err != nil {
			return nil, err
		}
		found = append(found, item)
	}
	return found, t.judge(rows.Err())
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
