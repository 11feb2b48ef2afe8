package spool

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/sentryagent/agentidp/shared/decision"
)

// Batch is a run of consecutive records, oldest first.
type Batch struct {
	First, Next int64  // sequences: of the first, and after the last
	Records     int    // lines
	Lines       []byte // NDJSON, each line with its LF; valid until the following call of Next
}

// reader is the shipper's side: where it stands, and its buffers. Guarded by Spool.readMu.
type reader struct {
	lines []byte // of the batch handed out
	block []byte // of frames
	// What was left when the last batch ended, to go on without a search.
	seq    int64
	chunk  *chunk
	kind   kind
	offset int
	packed unpacked // of chunk, when it is packed
}

// errMoved says that a chunk changed its form under the reader.
var errMoved = errors.New("spool: segment moved")

// Next answers the records from the first unacknowledged one on: at most
// maxRecords and, beyond the first, maxBytes and two segments. They are durable. The batch is
// empty when there is none. Called again without Ack it answers the same records, or more.
func (s *Spool) Next(maxRecords, maxBytes int) (Batch, error) {
	s.readMu.Lock()
	defer s.readMu.Unlock()
	// What was handed out cannot be dropped: most segments must not be at once.
	maxBytes = min(maxBytes, 2*s.segment)
	for {
		b, err := s.collect(maxRecords, maxBytes)
		if errors.Is(err, errMoved) {
			continue
		}
		if err != nil || b.Records == 0 {
			return Batch{}, err
		}
		if err := s.secure(); err != nil {
			return Batch{}, err
		}
		return b, nil
	}
}

// secure makes what is about to be shipped durable first.
func (s *Spool) secure() error {
	if err := s.flush(); err != nil {
		s.fail(err)
		return s.Err()
	}
	s.mu.Lock()
	urgent := s.urgent
	s.mu.Unlock()
	if urgent { // a gap may be in the batch
		return s.save(false)
	}
	return nil
}

// collect fills a batch, chunk by chunk. readMu is held.
func (s *Spool) collect(maxRecords, maxBytes int) (Batch, error) {
	r := &s.reader
	s.mu.Lock()
	b := Batch{First: s.acked, Next: s.acked}
	s.mu.Unlock()
	r.lines = r.lines[:0]
	for b.Records < maxRecords {
		c, err := s.touch(b.Next)
		if err != nil {
			return Batch{}, err
		}
		if c.next <= b.Next {
			break
		}
		before := b.Records
		if err := s.take(c, &b, maxRecords, maxBytes); err != nil {
			return Batch{}, err
		}
		if b.Records == before {
			break // the next one does not fit
		}
	}
	b.Lines = r.lines
	return b, nil
}

// touch answers a copy of the chunk that holds the sequence, marked as handed out.
func (s *Spool) touch(sequence int64) (chunk, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return chunk{}, ErrClosed
	}
	c := s.find(sequence)
	c.touched = c.touched || c.next > sequence
	found := c.view()
	if s.reader.chunk != c || s.reader.kind != c.kind || s.reader.seq != sequence {
		s.reader.seq, s.reader.chunk, s.reader.kind, s.reader.offset, s.reader.packed = sequence, c, c.kind, 0, unpacked{}
	}
	return found, nil
}

// find answers the chunk that holds the sequence, or would. mu is held.
func (s *Spool) find(sequence int64) *chunk {
	i, _ := slices.BinarySearchFunc(s.chunks, sequence, func(c *chunk, sequence int64) int {
		if c.next <= sequence {
			return -1
		}
		return 1
	})
	return s.chunks[min(i, len(s.chunks)-1)]
}

// take appends lines of the chunk, which holds b.Next, to the batch.
func (s *Spool) take(c chunk, b *Batch, maxRecords, maxBytes int) error {
	switch c.kind {
	case gap:
		s.reader.put(b, c.line(), entry{sequence: c.next - 1}, maxBytes)
		return nil
	case packed:
		return s.takePacked(c, b, maxRecords, maxBytes)
	default:
		return s.takeRaw(c, b, maxRecords, maxBytes)
	}
}

// put appends a line unless it is one too many bytes.
func (r *reader) put(b *Batch, line []byte, e entry, maxBytes int) bool {
	if b.Records > 0 && len(r.lines)+len(line)+1 > maxBytes {
		return false
	}
	r.lines = append(append(r.lines, line...), '\n')
	b.Records++
	b.Next = e.sequence + 1
	return true
}

// rawBlock is how much of a raw segment is read at once: always a whole frame.
const rawBlock = 256 << 10

func (s *Spool) takeRaw(c chunk, b *Batch, maxRecords, maxBytes int) error {
	r := &s.reader
	offset, at := r.offset, b.Next
	if offset == 0 { // b.Next is somewhere in the chunk
		offset, at = headerSize, c.first
	}
	if r.block == nil {
		r.block = make([]byte, rawBlock)
	}
	for at < c.next && b.Records < maxRecords {
		n, err := c.file.ReadAt(r.block[:min(rawBlock, c.end-offset)], int64(offset))
		if errors.Is(err, os.ErrClosed) {
			return errMoved
		}
		used := 0
		for at < c.next && b.Records < maxRecords {
			line, next := frameAt(r.block[:n], used)
			if line == nil {
				break
			}
			e, ok := parseEntry(line)
			if !ok || e.first != at {
				return s.damage(c)
			}
			if e.sequence >= b.Next && !r.put(b, line, e, maxBytes) {
				r.seq, r.offset = b.Next, offset+used
				return nil
			}
			at, used = e.sequence+1, next
		}
		if used == 0 {
			return s.damage(c)
		}
		offset += used
	}
	r.seq, r.offset = b.Next, offset
	return nil
}

func (s *Spool) takePacked(c chunk, b *Batch, maxRecords, maxBytes int) error {
	r := &s.reader
	if r.packed.lines == nil {
		u, err := unpack(c.path(s.dir), chain{c.first, c.prev}, c.next, maxSegment)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err != nil || !u.intact {
			return s.cut(c, max(u.end.next, c.first), u.end.anchor, u.decisions, 0)
		}
		r.packed, r.offset = u, 0
	}
	for b.Records < maxRecords && r.offset < len(r.packed.lines) {
		rest := r.packed.lines[r.offset:]
		line := rest[:bytes.IndexByte(rest, '\n')]
		e, ok := parseEntry(line)
		if !ok {
			return s.cut(c, c.first, c.prev, 0, 0)
		}
		if e.sequence >= b.Next && !r.put(b, line, e, maxBytes) {
			break
		}
		r.offset += len(line) + 1
	}
	r.seq = b.Next
	if r.offset == len(r.packed.lines) {
		r.packed = unpacked{}
	}
	return nil
}

// damage finds out how far a raw chunk can be read, and cuts it there.
func (s *Spool) damage(c chunk) error {
	data := make([]byte, c.end)
	n, err := c.file.ReadAt(data, 0)
	if errors.Is(err, os.ErrClosed) {
		return errMoved
	}
	found := scan(data[:n], chain{c.first, c.prev})
	return s.cut(c, found.at.next, found.at.anchor, found.decisions, found.end)
}

// cut ends a chunk at the sequence from which on it cannot be read, and lets a
// gap record stand for the rest. It answers errMoved: the batch begins anew.
func (s *Spool) cut(c chunk, from int64, anchor string, decisions int64, end int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.chunks, func(other *chunk) bool { return other.first == c.first })
	if i < 0 || s.chunks[i].kind != c.kind || s.chunks[i].next != c.next && i < len(s.chunks)-1 {
		return errMoved
	}
	if i == len(s.chunks)-1 {
		next, err := s.begin(nil)
		if err != nil {
			return err
		}
		s.activate(next)
	}
	live := s.chunks[i]
	lost := chunk{first: from, next: live.next, prev: anchor, decisions: max(live.decisions-decisions, 1), touched: true}
	if from < s.acked {
		lost.first, lost.prev, lost.decisions = s.acked, "", live.next-s.acked
		from, end = s.acked, 0
	}
	s.lost.AddInt64(lost.decisions)
	s.log.Error("decision records cannot be read back", "first", lost.first, "last", lost.next-1, "decisions", lost.decisions)
	if from == live.first {
		s.discard(live)
		s.resize(-live.size)
		live.decisions = lost.decisions
		live.becomeGap(s.now(), decision.GapCorrupt)
		return errMoved
	}
	live.next, live.decisions, live.end = from, decisions, end
	lost.becomeGap(s.now(), decision.GapCorrupt)
	s.chunks = slices.Insert(s.chunks, i+1, &lost)
	s.changed, s.urgent = true, true
	return errMoved
}

// maxSequence is the greatest number that every reader of JSON keeps exactly.
const maxSequence = 1 << 53

// Ack says that the IdP has every record below next.
func (s *Spool) Ack(next int64) error { return s.move(next) }

// Rewind says that the IdP wants the record next, whatever was acknowledged. A
// gap record declares what is not kept any more.
func (s *Spool) Rewind(next int64) error { return s.move(next) }

// move takes the IdP's word for where the stream stands.
func (s *Spool) move(next int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	switch {
	case next < 0 || next > maxSequence:
		return fmt.Errorf("spool: no sequence can be %d", next)
	case next > s.next:
		return s.advance(next)
	case next < s.chunks[0].first:
		missing := &chunk{first: next, next: s.chunks[0].first, decisions: s.chunks[0].first - next, touched: true}
		missing.becomeGap(s.now(), decision.GapNotRetained)
		s.lost.AddInt64(missing.decisions)
		s.chunks = slices.Insert(s.chunks, 0, missing)
		s.urgent = true
	}
	s.acked, s.changed = next, true
	s.forget(next)
	return nil
}

// forget gives up the chunks below next, but for the active one. mu is held.
func (s *Spool) forget(next int64) {
	n := 0
	for ; n < len(s.chunks)-1 && s.chunks[n].next <= next; n++ {
		s.discard(s.chunks[n])
		s.resize(-s.chunks[n].size)
		s.chunks[n].file = nil
	}
	s.chunks = slices.Delete(s.chunks, 0, n)
}

// advance goes on above the sequences that the IdP already holds, which means
// that this folder is older than what was shipped from it. What was appended
// here since cannot keep its sequence: it is declared. mu is held.
func (s *Spool) advance(next int64) error {
	conflicts, was, hashed := s.next-s.acked, s.next, s.hashed
	s.next, s.hashed = next, 0
	c, err := s.begin(nil)
	if err != nil {
		s.next, s.hashed = was, hashed
		return err
	}
	s.log.Error("the IdP holds more decisions than this folder gave out; going on above them", "ours", was, "next", next, "lost", conflicts)
	s.activate(c)
	s.acked, s.changed, s.urgent = next, true, true
	s.forget(next)
	s.lost.AddInt64(conflicts)
	return s.writeGap(decision.GapSequenceConflict, conflicts)
}
