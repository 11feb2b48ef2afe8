// Package sqlite keeps the store in one SQLite file: write-ahead log,
// synchronous=FULL, one writer connection, a pool of read-only connections, and
// one process at a time. The SQL stands as a constant above the method that
// runs it.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/sentryagent/agentidp/idp/internal/store"
)

// readerLimit bounds the read-only connections, and so the views that run at once.
const readerLimit = 8

// Store is one open database file. It implements store.DB.
type Store struct {
	writerDB *sql.DB       // holds exactly one connection, pinned as writer; nil when read-only
	writer   *session      // used only by who holds turn
	turn     chan struct{} // capacity 1: the right to use writer
	wal      wal           // used only by who holds turn
	readers  *readers
	watchers watchers
	health   *health
	lock     *lock  // nil when read-only
	scratch  string // folder that Close removes; "" when the file is the caller's

	closing  chan struct{} // closed at the start of Close
	closeAll sync.Once
	closeErr error
}

var _ store.DB = (*Store)(nil)

// Open opens the file at path, makes it when there is none, and brings its
// schema up to date. The folder must exist. A file that another Store has open,
// in this process or another, is refused with ErrInUse.
func Open(ctx context.Context, path string) (*Store, error) {
	path, err := canonical(path)
	if err != nil {
		return nil, err
	}
	held, err := acquire(path + ".lock")
	if err != nil {
		return nil, err
	}
	var s *Store
	if err = whole(path); err == nil {
		s, err = open(ctx, path)
	}
	if err != nil {
		return nil, errors.Join(err, held.release())
	}
	s.lock = held
	return s, nil
}

// OpenReadOnly opens an existing file for View only, also beside a process that
// serves from it. It never migrates: the schema must be this program's.
func OpenReadOnly(ctx context.Context, path string) (*Store, error) {
	path, err := canonical(path)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	if err := whole(path); err != nil {
		return nil, err
	}
	s := newStore(path, readerPragmas)
	if err := s.readers.with(ctx, checkSchema); err != nil {
		return nil, errors.Join(fmt.Errorf("database %s: %w", path, err), s.readers.close())
	}
	return s, nil
}

func newStore(path string, reading []pragma) *Store {
	closing := make(chan struct{})
	return &Store{
		turn:    make(chan struct{}, 1),
		readers: newReaders(path, reading, readerLimit, closing),
		health:  newHealth(),
		closing: closing,
	}
}

// open needs the lock held: nothing else writes to the file.
func open(ctx context.Context, path string) (*Store, error) {
	if err := create(path); err != nil {
		return nil, err
	}
	s := newStore(path, readerPragmas)
	err := s.connect(ctx, path)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("database %s: %w", path, err), s.disconnect(ctx))
	}
	return s, nil
}

func (s *Store) connect(ctx context.Context, path string) error {
	s.writerDB = openDB(path, writerPragmas, 1)
	if err := migrate(ctx, s.writerDB, schema()); err != nil {
		return err
	}
	var err error
	if s.writer, err = newSession(ctx, s.writerDB, writerPragmas); err != nil {
		return err
	}
	return s.readers.with(ctx, func(context.Context, *session) error { return nil })
}

// create makes the file readable by its owner only; SQLite gives the
// write-ahead log beside it the same mode.
func create(path string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // G703: the operator names the file
	if err != nil {
		return fmt.Errorf("database: %w", err)
	}
	return file.Close()
}

// canonical resolves links, so that one file has one lock whatever it is called.
func canonical(path string) (string, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("database path: %w", err)
	}
	resolved, err := filepath.EvalSymlinks(absolute)
	if err == nil {
		return resolved, nil
	}
	folder, err := filepath.EvalSymlinks(filepath.Dir(absolute))
	if err != nil {
		return "", fmt.Errorf("database folder: %w", err)
	}
	return filepath.Join(folder, filepath.Base(absolute)), nil
}

// Watch implements store.DB. One process has the file, so its own commits are all there are.
func (s *Store) Watch() (<-chan struct{}, func()) { return s.watchers.add() }

// Failed is closed when the store has stopped accepting writes for good,
// because a write or a sync to disk failed and what is on disk is no longer
// known. Reads go on; only a restart, which recovers from the log, mends it.
func (s *Store) Failed() <-chan struct{} { return s.health.failed }

// Settings are the writer's settings as SQLite confirmed them, for the log at start.
func (s *Store) Settings() []slog.Attr {
	attributes := make([]slog.Attr, len(writerPragmas))
	for i, p := range writerPragmas {
		attributes[i] = slog.String(p.name, p.want)
	}
	return attributes
}

// Ping implements store.DB. After a failed write it makes a durable write of
// its own to see whether the cause, such as a full disk, is gone.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.health.refusal(); err != nil {
		return err
	}
	if s.health.suspect.Load() {
		return s.update(ctx, pingWriter)
	}
	return s.view(ctx, pingReader)
}

const pingRead = `SELECT size FROM tree_head WHERE id = 1`

func pingReader(ctx context.Context, t *transaction) error {
	_, err := t.number(ctx, pingRead)
	return err
}

const pingWrite = `UPDATE tree_head SET size = size WHERE id = 1`

func pingWriter(ctx context.Context, t *transaction) error {
	_, err := t.exec(ctx, pingWrite)
	return err
}

// Close waits for open transactions, moves the write-ahead log into the file
// and lets the file go. Later calls return what the first did.
func (s *Store) Close() error {
	s.closeAll.Do(func() {
		close(s.closing)
		s.turn <- struct{}{} // kept: nobody writes after this
		s.closeErr = s.disconnect(context.Background())
		if s.lock != nil {
			s.closeErr = errors.Join(s.closeErr, s.lock.release())
		}
		if s.scratch != "" {
			s.closeErr = errors.Join(s.closeErr, os.RemoveAll(s.scratch))
		}
	})
	return s.closeErr
}

func (s *Store) disconnect(ctx context.Context) error {
	err := s.readers.close()
	if s.writer != nil {
		if s.health.refusal() == nil {
			err = errors.Join(err, s.wal.truncate(ctx, s.writer))
		}
		err = errors.Join(err, s.writer.close())
	}
	if s.writerDB != nil {
		err = errors.Join(err, s.writerDB.Close())
	}
	return err
}
