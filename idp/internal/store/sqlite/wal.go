package sqlite

import (
	"context"
	"fmt"

	"modernc.org/sqlite"
)

// checkpointPages is how long the write-ahead log grows, in pages of 4 KiB,
// before it is moved into the file: long enough that the pages which every
// batch touches are moved once for many batches.
const checkpointPages = 4000

// wal decides when the log is moved into the database file. SQLite would do it
// by itself but hide a failed sync, after which the log must not be given up.
type wal struct {
	moved int // the writer's page count at the last checkpoint
}

// due reports whether the log has grown long since the last checkpoint.
func (w *wal) due(s *session) bool {
	return pagesWritten(s)-w.moved >= checkpointPages
}

// pagesWritten counts the pages that the session's commits have written to the log.
func pagesWritten(s *session) int {
	pages := 0
	err := s.conn.Raw(func(connection any) error {
		var err error
		pages, _, err = connection.(sqlite.DBStatus).Status(sqlite.DBStatusCacheWrite, false)
		return err
	})
	if err != nil {
		return 0 // the connection is closed
	}
	return pages
}

const checkpointPassive = `PRAGMA wal_checkpoint(PASSIVE)`

// checkpoint moves what no view still needs; the rest waits for the next one.
func (w *wal) checkpoint(ctx context.Context, s *session) error {
	w.moved = pagesWritten(s)
	return s.run(ctx, checkpointPassive)
}

const checkpointTruncate = `PRAGMA wal_checkpoint(TRUNCATE)`

// truncate moves everything and empties the log; no view may be open.
func (w *wal) truncate(ctx context.Context, s *session) error {
	var busy, frames, moved int
	if err := s.conn.QueryRowContext(ctx, checkpointTruncate).Scan(&busy, &frames, &moved); err != nil {
		return fmt.Errorf("last checkpoint: %w", err)
	}
	return nil
}
