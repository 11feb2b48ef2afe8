package store

import "context"

// PruneBatch is how many rows one call of a Prune removes at most: writers wait for it.
const PruneBatch = 1000

// PruneAll calls batch until there is no more, each time in a transaction of
// its own, so that other writers have their turns in between. When ctx ends,
// what is left is for the next time.
func PruneAll(ctx context.Context, db DB, batch func(ctx context.Context, tx *Tx) (more bool, err error)) error {
	for more := true; more; {
		err := db.Update(ctx, func(ctx context.Context, tx *Tx) (err error) {
			more, err = batch(ctx, tx)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
