package sqlite

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// ErrInUse says that another Store has the file open.
var ErrInUse = errors.New("database is in use")

// lock is an advisory lock on a file beside the database, held for the life of
// the store. The database file itself is never opened behind SQLite's back:
// closing it would drop SQLite's own POSIX locks.
type lock struct{ file *os.File }

func acquire(path string) (*lock, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // G703: the operator names the file
	if err != nil {
		return nil, fmt.Errorf("database lock: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		refusal := fmt.Errorf("database lock %s: %w", path, err)
		if errors.Is(err, syscall.EWOULDBLOCK) {
			refusal = fmt.Errorf("%w: %s is locked by process %s", ErrInUse, path, owner(path))
		}
		return nil, errors.Join(refusal, file.Close())
	}
	held := &lock{file: file}
	if err := held.sign(); err != nil {
		return nil, errors.Join(fmt.Errorf("database lock: %w", err), held.release())
	}
	return held, nil
}

// sign writes who holds the lock, for the message that the next process shows.
func (l *lock) sign() error {
	if err := l.file.Truncate(0); err != nil {
		return err
	}
	_, err := l.file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

func owner(path string) string {
	text, err := os.ReadFile(path) //nolint:gosec // G703: the operator names the file
	if pid := strings.TrimSpace(string(text)); err == nil && pid != "" {
		return pid
	}
	return "unknown"
}

// release leaves the file in place: removing it would let two processes lock two files of one name.
func (l *lock) release() error { return l.file.Close() }
