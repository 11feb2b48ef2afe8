package sqlite

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

type statusLists struct{ *transaction }

const statusListTake = `
UPDATE status_lists SET used = used + ?1, taken_at = max(taken_at, ?2)
WHERE id = (SELECT max(id) FROM status_lists) AND used + ?1 <= 1048576
RETURNING (id << 20) + used - ?1`

func (t statusLists) Take(ctx context.Context, n int, at time.Time) (int64, error) {
	if n < 1 || n > store.StatusListSize {
		return 0, fmt.Errorf("%d indexes cannot be taken at once", n)
	}
	first, err := t.change(ctx, statusListTake, n, at.UnixMilli())
	if errors.Is(err, idp.ErrNotFound) {
		return t.begin(ctx, n, at)
	}
	return first, err
}

const statusListBegin = `
INSERT INTO status_lists (id, used, taken_at)
VALUES ((SELECT coalesce(max(id) + 1, 0) FROM status_lists), ?1, ?2)
RETURNING id << 20`

// begin takes from a new list.
func (t statusLists) begin(ctx context.Context, n int, at time.Time) (int64, error) {
	return t.change(ctx, statusListBegin, n, at.UnixMilli())
}

const statusListLive = `SELECT id FROM status_lists WHERE taken_at >= ?1 ORDER BY id`

func (t statusLists) Live(ctx context.Context, since time.Time) ([]int64, error) {
	return list(ctx, t.transaction, statusListLive, scanNumber, since.UnixMilli())
}

const statusListPrune = `
DELETE FROM status_lists
WHERE id IN (
    SELECT id FROM status_lists
    WHERE taken_at < ?1 AND id < (SELECT max(id) FROM status_lists)
    ORDER BY id
    LIMIT ?2)`

func (t statusLists) Prune(ctx context.Context, before time.Time) (more bool, err error) {
	removed, err := t.exec(ctx, statusListPrune, before.UnixMilli(), store.PruneBatch)
	return removed == store.PruneBatch, err
}
