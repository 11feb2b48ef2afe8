package spool

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"github.com/sentryagent/agentidp/shared/decision"
)

// Dropped is the sequence that Append answers for a decision which the policy left out.
const Dropped int64 = -1

var tails = sync.Pool{New: func() any { b := make([]byte, 0, 1024); return &b }}

// Append gives the record the next sequence and keeps it: once it returned,
// the record survives the death of the process. It sets neither Sequence nor
// PrevHash of r; an empty or impossible Time becomes the clock's; strings are
// cut to decision.MaxPathBytes. ErrFull: not kept, counted as lost. Dropped
// without an error: the same by policy.
func (s *Spool) Append(r *decision.Record) (sequence int64, err error) {
	buffer := tails.Get().(*[]byte)
	defer tails.Put(buffer)
	var now time.Time
	if !plausibleTime(r.Time) {
		now = s.opts.Now()
	}
	tail, err := encodeTail((*buffer)[:0], r, now)
	*buffer = tail
	if err != nil {
		return Dropped, err
	}
	// A disk that fails under the mapping raises a fault: one refused decision, not the end of the process.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.caught(&sequence, &err)
	if err := s.open(); err != nil {
		return Dropped, err
	}
	first := s.next == s.acked
	if s.opts.Policy == DropAllow && r.Outcome == decision.Allowed && s.tight.Load() {
		s.lose()
		return Dropped, nil
	}
	if s.pending.count > 0 && !s.tight.Load() {
		s.declare()
	}
	if sequence, err = s.write(tail); err != nil {
		s.lose()
		return Dropped, err
	}
	if first {
		s.signal()
	}
	return sequence, nil
}

// open reports whether Append may write. mu is held.
func (s *Spool) open() error {
	if s.closed {
		return ErrClosed
	}
	return s.Err()
}

// caught turns a fault on the mapping into ErrBroken.
func (s *Spool) caught(sequence *int64, err *error) {
	fault := recover()
	if fault == nil {
		return
	}
	cause, isError := fault.(error)
	if !isError {
		panic(fault)
	}
	if _, isFault := cause.(interface{ Addr() uintptr }); !isFault {
		panic(fault)
	}
	s.fail(cause)
	*sequence, *err = Dropped, s.Err()
}

// write frames the line that tail belongs to. mu is held.
func (s *Spool) write(tail []byte) (int64, error) {
	active := s.chunks[len(s.chunks)-1]
	at := active.end
	if at+frameHead+prefixMax+len(tail) > len(active.data) {
		if err := s.rotate(); err != nil {
			return Dropped, err
		}
		active = s.chunks[len(s.chunks)-1]
		at = active.end
	}
	line := appendPrefix(active.data[at+frameHead:at+frameHead], s.next, s.hash[:s.hashed])
	line = append(line, tail...)
	putFrame(active.data, at, len(line))
	sum := sha256.Sum256(line)
	hex.Encode(s.hash[:], sum[:])
	s.hashed = hashSize
	sequence := s.next
	s.next++
	active.next, active.end = s.next, aligned(at+frameHead+len(line))
	active.decisions++
	return sequence, nil
}

// declare writes a gap record for the decisions that were lost without a
// sequence. mu is held. When there is no room for it they stay pending.
func (s *Spool) declare() {
	if s.writeGap(decision.GapSpoolFull, s.pending.count) == nil {
		s.pending.count = 0 // the slot in the header stays: the gap's sequence shows that it is spent.
	}
}

// writeGap appends a gap record with a sequence of its own. mu is held.
func (s *Spool) writeGap(reason string, count int64) error {
	r := decision.Record{Outcome: decision.Gap, Reason: reason, Count: count, Time: s.now()}
	_, err := s.write(appendTail(nil, &r, time.Time{}, clipAt))
	if err == nil {
		s.chunks[len(s.chunks)-1].decisions += count - 1
	}
	return err
}

// lose counts a decision that was not kept. mu is held.
func (s *Spool) lose() {
	s.lost.Inc()
	s.pending.generation++
	s.pending.count++
	s.pending.sequence = s.next
	s.pending.put(s.chunks[len(s.chunks)-1].data)
	s.head = true
}

// rotate seals the active segment and begins the next, making room for it as
// the policy says. mu is held. ErrFull leaves the active segment as it is.
func (s *Spool) rotate() error {
	for s.used+int64(s.segment) > s.opts.MaxBytes {
		if s.opts.Policy != DropOldest || !s.dropOldest() {
			return ErrFull
		}
	}
	next, err := s.begin(nil)
	if err != nil {
		// A full disk is a full spool: it may get room again.
		s.stuck = true
		s.resize(0)
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	s.activate(next)
	return nil
}

// activate makes c the segment that Append writes. mu is held.
func (s *Spool) activate(c *chunk) {
	s.chunks = append(s.chunks, c)
	s.unsynced = append(s.unsynced, c)
	s.renamed = true
	s.resize(c.size)
	s.kick()
}

// begin makes the next active segment of the spare one, or of a new one, with
// the line in it, if any. mu is held.
func (s *Spool) begin(line []byte) (*chunk, error) {
	spare := s.spare
	s.spare = nil
	if spare == nil {
		var err error
		if spare, err = newBlank(filepath.Join(s.dir, nextName), s.segment); err != nil {
			return nil, err
		}
	}
	next, err := spare.begin(s.dir, chain{next: s.next, anchor: string(s.hash[:s.hashed])}, s.pending, line)
	if err != nil {
		return nil, errors.Join(err, spare.discard())
	}
	return next, nil
}

// resize accounts for bytes that came to or left the disk. mu is held.
func (s *Spool) resize(delta int64) {
	s.used += delta
	s.tight.Store(s.stuck || s.used+int64(s.segment) > s.soft)
}

// dropOldest gives up the oldest sealed segment of which nothing was shipped. mu is held.
func (s *Spool) dropOldest() bool {
	for i, c := range s.chunks[:len(s.chunks)-1] {
		if c.touched || c.kind == gap {
			continue
		}
		s.discard(c)
		s.resize(-c.size)
		if s.opts.Local {
			s.chunks = append(s.chunks[:0], s.chunks[i+1:]...)
			s.acked = max(s.acked, s.chunks[0].first)
			return true
		}
		s.lost.AddInt64(c.decisions)
		c.becomeGap(s.now(), decision.GapSpoolFull)
		if i > 0 && s.chunks[i-1].kind == gap && !s.chunks[i-1].touched {
			before := s.chunks[i-1]
			before.widen(before.first, c.next, before.decisions+c.decisions)
			s.chunks = append(s.chunks[:i], s.chunks[i+1:]...)
		}
		return true
	}
	return false
}

// discard has the chunk's file removed after the next save. mu is held.
func (s *Spool) discard(c *chunk) {
	if path := c.path(s.dir); path != "" {
		s.trash = append(s.trash, path)
	}
	if c.file != nil {
		s.closing = append(s.closing, c.file)
	}
	s.changed, s.urgent = true, true
	s.kick()
}
