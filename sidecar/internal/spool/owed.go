package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/sentryagent/agentidp/shared/decision"
)

const (
	owedName = "owed"
	owedSize = 8
	maxOwed  = 1 << 40 // nothing made so many: the file was damaged
)

// owed is how many decisions were made and stand in no record yet. The number
// is a mapped file, so that a killed process does not forget it: one aligned
// store of eight bytes, which a kill cannot cut.
type owed struct {
	mu    sync.Mutex
	file  *os.File
	count []byte // nil once closed
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
	count, err := mapFile(file, owedSize)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &owed{file: file, count: count}, nil
}

func write(file *os.File, content []byte) error {
	_, err := file.WriteAt(content, 0)
	return err
}

// add answers the new number; 0 once closed.
func (o *owed) add(n int64) int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.count == nil {
		return 0
	}
	sum := max(int64(binary.LittleEndian.Uint64(o.count))+n, 0)
	binary.LittleEndian.PutUint64(o.count, uint64(sum))
	return sum
}

func (o *owed) close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.count == nil {
		return nil
	}
	err := errors.Join(unix.Munmap(o.count), o.file.Close())
	o.count = nil
	return err
}

// Owe notes n more decisions, or -n fewer, that were made and that a later
// record will count. What is still owed when the process ends, however it does,
// is declared lost by the next one.
func (s *Spool) Owe(n int64) {
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
	if n > maxOwed {
		s.owed.add(-n)
		return s.writeGap(decision.GapUnwritten, 0)
	}
	s.lost.AddInt64(n)
	s.log.Error("decisions that were only counted are lost: the process before ended without writing them down", "decisions", n)
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
