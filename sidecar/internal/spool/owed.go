package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/sentryagent/agentidp/shared/decision"
)

const (
	owedName = "owed"
	owedSize = 8
	maxOwed  = 1 << 40 // nothing made so many: the file was damaged
)

// owed is how many decisions stand in no record yet: of requests that are with
// their upstream, and such that are only counted. The number is a mapped file of
// eight bytes, so that a killed process does not forget it. Threads add to it
// without a lock; what one stored before it was killed, in the order of its
// program, is there for the next process.
type owed struct {
	file   *os.File
	count  *atomic.Int64 // in the mapping, in the machine's byte order
	closed atomic.Bool
}

func openOwed(dir string) (*owed, error) {
	file, err := os.OpenFile(filepath.Join(dir, owedName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	info, err := file.Stat()
	if err == nil && info.Size() != owedSize {
		err = errors.Join(file.Truncate(0), write(file, make([]byte, owedSize)))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("spool: %w", err), file.Close())
	}
	data, err := mapFile(file, owedSize)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	o := &owed{file: file, count: (*atomic.Int64)(unsafe.Pointer(&data[0]))} //nolint:gosec // atomics need the address; a mapping begins at a page
	// Nobody waits for those who add: the mapping goes when none of them can.
	runtime.AddCleanup(o, func(data []byte) { _ = unix.Munmap(data) }, data)
	return o, nil
}

func write(file *os.File, content []byte) error {
	_, err := file.WriteAt(content, 0)
	return err
}

// add answers the new number. Once closed it stays as it is.
func (o *owed) add(n int64) int64 {
	if o.closed.Load() {
		return 0
	}
	return o.count.Add(n)
}

func (o *owed) close() error {
	if o.closed.Swap(true) {
		return nil
	}
	return o.file.Close()
}

// Owe notes n more decisions that a later record will tell of, or -n fewer,
// because one does or Append has counted them lost. What is still owed when the
// process ends, however it does, is declared lost by the next one. Who owes
// before something happens, and pays after Append, so has it declared once too
// often when killed between the two, never too seldom. A broken spool forgives
// nothing. It takes no lock and allocates nothing.
func (s *Spool) Owe(n int64) {
	if n < 0 && s.Err() != nil {
		return
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	var sequence int64
	var err error
	defer s.caught(&sequence, &err)
	s.owed.add(n)
}

// declareOwed writes the gap record for what the process before left owing. A
// spool without room notes it with its other losses.
func (s *Spool) declareOwed() error {
	n := s.owed.add(0)
	if n == 0 {
		return nil
	}
	if n < 0 || n > maxOwed {
		s.owed.add(-n)
		return s.writeGap(decision.GapUnwritten, 0)
	}
	s.lost.AddInt64(n)
	s.log.Error("decisions are lost: the process before ended without writing them down", "decisions", n)
	err := s.writeGap(decision.GapUnwritten, n)
	if errors.Is(err, ErrFull) {
		s.pending.generation++
		s.pending.count += n
		s.pending.sequence = s.next
		s.pending.put(s.chunks[len(s.chunks)-1].data)
		s.head, err = true, nil
	}
	if err == nil {
		s.owed.add(-n)
	}
	return err
}
