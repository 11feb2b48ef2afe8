package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

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
// log and then the other files named, into the folder aside; it returns where that
// is. A crash in between leaves a mark, on which opening fails until Replace is
// called again. The others are in their place until the new store is in its own.
func (c *Claim) Replace(staged, aside string, others ...string) (string, error) {
	aside, err := c.aside(aside)
	if err == nil {
		err = c.replace(staged, aside, others)
	}
	if err != nil {
		return "", fmt.Errorf("replace database: %w", err)
	}
	return aside, nil
}

// aside is the folder that a Replace which was cut off has begun to fill, as long
// as the file itself is not there: it and its log belong together.
func (c *Claim) aside(fresh string) (string, error) {
	begun, err := os.ReadFile(replacing(c.path))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if earlier := strings.TrimSuffix(string(begun), "\n"); earlier != "" {
		_, err := os.Lstat(filepath.Join(earlier, filepath.Base(c.path))) //nolint:gosec // G703: the mark is ours
		if errors.Is(err, fs.ErrNotExist) {
			return earlier, nil
		}
		if err != nil {
			return "", err
		}
	}
	return fresh, nil
}

func (c *Claim) replace(staged, aside string, others []string) error {
	folder := filepath.Dir(c.path)
	if err := os.MkdirAll(aside, 0o700); err != nil {
		return err
	}
	absolute, err := filepath.Abs(aside) // the next try may begin elsewhere
	if err != nil {
		return err
	}
	mark := replacing(c.path)
	if err := durable.WriteFile(mark, []byte(absolute+"\n")); err != nil {
		return err
	}
	// A write-ahead log beside a file that it is not of would be played into it.
	if err := move(aside, c.path+"-wal", c.path+"-shm", c.path); err != nil {
		return err
	}
	if err := os.Rename(staged, c.path); err != nil {
		return err
	}
	if err := durable.SyncDir(folder); err != nil {
		return err
	}
	if err := move(aside, others...); err != nil {
		return err
	}
	if err := os.Remove(mark); err != nil {
		return err
	}
	return durable.SyncDir(folder)
}

// move moves the files that are there into the folder, durably.
func move(folder string, files ...string) error {
	touched := []string{folder}
	for _, name := range files {
		err := os.Rename(name, filepath.Join(folder, filepath.Base(name)))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		touched = append(touched, filepath.Dir(name))
	}
	slices.Sort(touched)
	for _, changed := range slices.Compact(touched) {
		if err := durable.SyncDir(changed); err != nil {
			return err
		}
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
