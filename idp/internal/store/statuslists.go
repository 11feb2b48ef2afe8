package store

import (
	"context"
	"time"
)

// StatusListSize is how many indexes a Token Status List holds: list n has
// those from n*StatusListSize on.
const StatusListSize = 1 << 20

// StatusLists gives out the indexes of Token Status Lists, in blocks.
type StatusLists interface {
	// Take gives out n indexes, 1 to StatusListSize, and returns the first; the
	// others follow it, in the same list. No index is ever given out twice.
	Take(ctx context.Context, n int, at time.Time) (first int64, err error)
	// Live lists the ids of lists that indexes were taken from at since or later, lowest first.
	Live(ctx context.Context, since time.Time) ([]int64, error)
	// Prune forgets up to PruneBatch lists that nothing was taken from since before,
	// never the newest, and reports whether there may be more.
	Prune(ctx context.Context, before time.Time) (more bool, err error)
}
