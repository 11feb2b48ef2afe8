package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"modernc.org/sqlite"

	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/durable"
)

// backupPages is how many pages of 4 KiB are copied before the context is looked at again.
const backupPages = 2048

// BackupOptions tune a Backup; the zero value works.
type BackupOptions struct {
	Force    bool                  // replace what is at the target
	Progress func(done, total int) // told the pages copied
	// Check reads the copy before it gets its name; its error is Backup's.
	Check func(ctx context.Context, db store.DB) error
}

// Backup copies the store at source, which another process may be serving from,
// to one file, mode 0600, that holds what was committed when it began. The
// target appears whole, checked and on disk, or not at all.
//
// It takes no lock of the store: it reads one snapshot on a read-only
// connection. Writers go on; the write-ahead log keeps, and so grows by, what
// they write until the copy is made.
func Backup(ctx context.Context, source, target string, o BackupOptions) (err error) {
	if target, err = canonical(target); err != nil {
		return err
	}
	if err := mayWrite(source, target, o.Force); err != nil {
		return err
	}
	from, err := OpenReadOnly(ctx, source)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	temporary := target + ".tmp"
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("backup: %w", err)
	}
	if err := create(temporary); err != nil {
		return err
	}
	defer func() {
		if left := os.Remove(temporary); left != nil && !errors.Is(left, fs.ErrNotExist) {
			err = errors.Join(err, left)
		}
	}()
	if err := from.copyTo(ctx, temporary, o.Progress); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	if err := check(ctx, temporary, o.Check); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	if err := name(temporary, target, o.Force); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	return nil
}

// mayWrite refuses, before the work, what name would refuse after it, and the store itself.
func mayWrite(source, target string, force bool) error {
	there, err := os.Stat(target)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		part, err := os.Stat(source + suffix)
		switch {
		case err != nil && (suffix == "" || !errors.Is(err, fs.ErrNotExist)):
			return fmt.Errorf("backup: %w", err)
		case err == nil && os.SameFile(there, part):
			return fmt.Errorf("backup: %s is the store itself", target)
		}
	}
	if !force {
		return fmt.Errorf("backup: %s: %w", target, fs.ErrExist)
	}
	return nil
}

// copyTo copies page by page. Pages that are in no use are copied too: what
// is wrong with a file must not be hidden by its backup.
func (s *Store) copyTo(ctx context.Context, path string, progress func(done, total int)) error {
	err := s.readers.with(ctx, func(ctx context.Context, r *session) (err error) {
		t := &transaction{session: r}
		if err := r.run(ctx, beginRead); err != nil {
			return errors.Join(errUnsound, translate(err))
		}
		defer func() { err = also(err, t.rollback(ctx)) }()
		// From the first read on the connection has its snapshot, and the copy
		// does not begin again whenever somebody writes.
		if err := pingReader(ctx, t); err != nil {
			return err
		}
		return r.conn.Raw(func(connection any) error { return copyPages(ctx, connection, path, progress) })
	})
	if err != nil {
		return err
	}
	return settle(ctx, path)
}

func copyPages(ctx context.Context, connection any, path string, progress func(done, total int)) error {
	source, can := connection.(interface {
		NewBackup(target string) (*sqlite.Backup, error)
	})
	if !can {
		return errors.New("the driver makes no backups")
	}
	target := url.URL{Scheme: "file", Path: path, RawQuery: url.Values{"mode": {"rw"}, "_pragma": {"fullfsync(1)"}}.Encode()}
	b, err := source.NewBackup(target.String())
	if err != nil {
		return err
	}
	for more := true; more && err == nil; {
		if err = ctx.Err(); err != nil {
			break
		}
		if more, err = b.Step(backupPages); err == nil && progress != nil {
			progress(b.PageCount()-b.Remaining(), b.PageCount())
		}
	}
	return errors.Join(err, b.Finish())
}

// Settings of a backup at rest: no write-ahead log, so that it is one file.
var backupPragmas = []pragma{
	{"journal_mode", "delete", "PRAGMA journal_mode", "delete"},
	{"synchronous", "FULL", "PRAGMA synchronous", "2"},
}

// settle makes the copy, which says of itself that it has a write-ahead log, a file that has none.
func settle(ctx context.Context, path string) (err error) {
	db := openDB(path, backupPragmas, 1)
	defer func() { err = errors.Join(err, db.Close()) }()
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	return errors.Join(verify(ctx, conn, backupPragmas), conn.Close())
}

// OpenBackup opens a file that Backup made, for View only. It must be of this release's schema.
func OpenBackup(ctx context.Context, path string) (*Store, error) {
	path, err := canonical(path)
	if err != nil {
		return nil, err
	}
	s := newStore(path, backupReaderPragmas)
	if err := s.readers.with(ctx, checkSchema); err != nil {
		return nil, errors.Join(fmt.Errorf("backup %s: %w", path, err), s.readers.close())
	}
	return s, nil
}

var backupReaderPragmas = []pragma{
	{"journal_mode", "", "PRAGMA journal_mode", "delete"},
	{"query_only", "1", "PRAGMA query_only", "1"},
	{"trusted_schema", "0", "PRAGMA trusted_schema", "0"},
	{"cell_size_check", "1", "PRAGMA cell_size_check", "1"},
}

// check reads the whole copy: every page and index, then what the caller looks at.
func check(ctx context.Context, path string, look func(ctx context.Context, db store.DB) error) (err error) {
	s, err := OpenBackup(ctx, path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := s.integrity(ctx); err != nil {
		return err
	}
	if look == nil {
		return nil
	}
	return look(ctx, s)
}

// CheckIntegrity reads every page and index of a database at rest, of whatever
// schema; ErrDamaged says that they do not fit together.
func CheckIntegrity(ctx context.Context, path string) (err error) {
	if path, err = canonical(path); err != nil {
		return err
	}
	s := newStore(path, backupReaderPragmas[1:]) // a copy of a store that was stopped is good too
	defer func() { err = errors.Join(err, s.readers.close()) }()
	return s.integrity(ctx)
}

// ErrDamaged says that SQLite's own check of a file found something.
var ErrDamaged = errors.New("the database file is damaged")

const integrityCheck = `PRAGMA integrity_check(1)`

func (s *Store) integrity(ctx context.Context) error {
	return s.view(ctx, func(ctx context.Context, t *transaction) error {
		return each(ctx, t, integrityCheck, func(rows *sql.Rows) error {
			found, err := scanText(rows)
			if err == nil && found != "ok" {
				err = fmt.Errorf("%w: %s", ErrDamaged, found)
			}
			return err
		})
	})
}

// name gives what is written its name, durably; without force only one that is free.
func name(temporary, target string, force bool) error {
	file, err := os.OpenFile(temporary, os.O_RDWR, 0) // SQLite has it open no more
	if err != nil {
		return err
	}
	if err := errors.Join(file.Sync(), file.Close()); err != nil {
		return err
	}
	if force {
		err = os.Rename(temporary, target)
	} else if err = os.Link(temporary, target); err == nil {
		err = os.Remove(temporary)
	}
	if err != nil {
		return err
	}
	return durable.SyncDir(filepath.Dir(target))
}
