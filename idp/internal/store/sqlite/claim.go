package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sentryagent/agentidp/shared/durable"
)

// ErrReplacing says that another file was being put in the place of the store
// when the program that did so was stopped.
var ErrReplacing = errors.New("the file was being replaced when that was cut off: run agentidp restore again")

// Claim keeps every process from opening the store at a path, which need not
// exist, until Release.
type Claim struct {
	path string
	held *lock
}

// Take claims a path; ErrInUse when a Store has the file open.
func Take(path string) (*Claim, error) {
	path, err := canonical(path)
	if err != nil {
		return nil, err
	}
	held, err := acquire(path + ".lock")
	if err != nil {
		return nil, err
	}
	return &Claim{path: path, held: held}, nil
}

// Release lets the path go.
func (c *Claim) Release() error { return c.held.release() }

// OpenReadOnly opens the store as it is, for reading, while nobody can write to it.
func (c *Claim) OpenReadOnly(ctx context.Context) (*Store, error) { return OpenReadOnly(ctx, c.path) }

// Replace puts the closed store at staged, in the same folder or on the same
// file system, in the place of the claimed one, which moves, with its write-ahead
// log and the other files named, into the folder aside. A crash in between leaves
// a mark, on which opening fails until Replace is called again.
func (c *Claim) Replace(staged, aside string, others ...string) error {
	folder := filepath.Dir(c.path)
	if err := os.MkdirAll(aside, 0o700); err != nil {
		return fmt.Errorf("replace database: %w", err)
	}
	mark := replacing(c.path)
	if err := durable.WriteFile(mark, []byte(aside+"\n")); err != nil {
		return fmt.Errorf("replace database: %w", err)
	}
	// A write-ahead log beside a file that it is not of would be played into it.
	for _, name := range append([]string{c.path + "-wal", c.path + "-shm", c.path}, others...) {
		err := os.Rename(name, filepath.Join(aside, filepath.Base(name)))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("replace database: %w", err)
		}
	}
	err := errors.Join(durable.SyncDir(aside), durable.SyncDir(folder))
	if err == nil {
		err = os.Rename(staged, c.path)
	}
	if err == nil {
		err = durable.SyncDir(folder)
	}
	if err == nil {
		err = os.Remove(mark)
	}
	if err = errors.Join(err, durable.SyncDir(folder)); err != nil {
		return fmt.Errorf("replace database: %w", err)
	}
	return nil
}

// replacing is the file that stands beside a database while it is replaced.
func replacing(path string) string { return path + ".replacing" }

// whole refuses what a Replace left half done.
func whole(path string) error {
	switch _, err := os.Stat(replacing(path)); { //nolint:gosec // G703: the operator names the file
	case err == nil:
		return fmt.Errorf("database %s: %w", path, ErrReplacing)
	case errors.Is(err, fs.ErrNotExist):
		return nil
	default:
		return fmt.Errorf("database: %w", err)
	}
}
