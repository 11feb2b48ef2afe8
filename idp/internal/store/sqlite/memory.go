package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// OpenMemory opens an empty store that disappears with Close, for tests. It is
// a file in a temporary folder: SQLite has no in-memory database with a
// write-ahead log, and snapshots beside a writer are what is to be tested.
func OpenMemory(ctx context.Context) (*Store, error) {
	empty, err := emptyFile()
	if err != nil {
		return nil, fmt.Errorf("temporary store: %w", err)
	}
	return openScratch(ctx, empty)
}

// emptyFile is what a new database becomes by all migrations, which take longer
// than most tests.
var emptyFile = sync.OnceValues(func() ([]byte, error) {
	s, err := openScratch(context.Background(), nil)
	if err != nil {
		return nil, err
	}
	folder := s.scratch
	s.scratch = ""
	err = s.Close()
	content, readErr := os.ReadFile(filepath.Join(folder, scratchFile))
	return content, errors.Join(err, readErr, os.RemoveAll(folder))
})

const scratchFile = "agentidp.db"

// openScratch opens a store with that content in a folder that Close removes.
func openScratch(ctx context.Context, content []byte) (*Store, error) {
	folder, err := os.MkdirTemp("", "agentidp-store-")
	if err != nil {
		return nil, fmt.Errorf("temporary store: %w", err)
	}
	path := filepath.Join(folder, scratchFile)
	if content != nil {
		err = os.WriteFile(path, content, 0o600)
	}
	var s *Store
	if err == nil {
		s, err = Open(ctx, path)
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	s.scratch = folder
	return s, nil
}

// Create makes the file of an empty store at a path where there is none, for tests:
// a process migrates once.
func Create(path string) error {
	empty, err := emptyFile()
	if err == nil {
		err = os.WriteFile(path, empty, 0o600)
	}
	if err != nil {
		return fmt.Errorf("empty store: %w", err)
	}
	return nil
}
