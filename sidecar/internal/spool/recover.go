package spool

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/sentryagent/agentidp/shared/decision"
)

// load reads the folder and leaves the spool ready to append: the chunks
// tile the sequences, what cannot be read is a gap, the last chunk is active.
func (s *Spool) load() error {
	st, err := readState(s.dir)
	damaged := errors.Is(err, errState)
	if err != nil && !damaged && !errors.Is(err, errNoState) {
		return err
	}
	files, err := s.files()
	if err != nil {
		return err
	}
	before := st != nil || damaged || len(files) > 0
	t, err := s.tile(st, files)
	if err != nil {
		return err
	}
	if st == nil {
		st = &state{}
	}
	if err := s.resume(st, t); err != nil {
		return err
	}
	if before && !st.Clean && (s.opts.BootID == "" || st.BootID != s.opts.BootID) {
		err := s.writeGap(decision.GapPowerLoss, 0)
		if errors.Is(err, ErrFull) {
			s.lose() // there is no room to say how little is known: one loss is declared once there is
			err = nil
		}
		if err != nil {
			return err
		}
		s.owed.add(-s.owed.add(0)) // it may be an older number, and the gap says that some are lost
	}
	if err := s.declareOwed(); err != nil {
		return err
	}
	return s.save(false)
}

// files answers a chunk for each segment file, oldest first, and removes what
// an interrupted step left behind.
func (s *Spool) files() ([]*chunk, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	var found []*chunk
	for _, entry := range entries {
		if strings.HasSuffix(entry.Name(), ".tmp") {
			if err := os.Remove(filepath.Join(s.dir, entry.Name())); err != nil {
				return nil, fmt.Errorf("spool: %w", err)
			}
			continue
		}
		digits, suffix, _ := strings.Cut(entry.Name(), ".")
		first, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || len(digits) != 20 {
			continue
		}
		switch "." + suffix {
		case rawSuffix:
			found = append(found, &chunk{kind: raw, first: first})
		case packedSuffix:
			found = append(found, &chunk{kind: packed, first: first})
		}
	}
	slices.SortStableFunc(found, func(a, b *chunk) int {
		return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(a.kind, b.kind))
	})
	return s.single(found)
}

// single keeps one form of each segment: packing finished, or it did not.
func (s *Spool) single(found []*chunk) ([]*chunk, error) {
	var kept []*chunk
	for _, c := range found {
		if n := len(kept); n > 0 && kept[n-1].first == c.first {
			stale := kept[n-1]
			if _, _, err := readPacked(c.path(s.dir)); errors.Is(err, errHeader) {
				stale = c
			} else if err != nil {
				return nil, err
			} else {
				kept[n-1] = c
			}
			if err := os.Remove(stale.path(s.dir)); err != nil {
				return nil, fmt.Errorf("spool: %w", err)
			}
			continue
		}
		kept = append(kept, c)
	}
	return kept, nil
}

// tail is where laying ended, and what the newest segment tells.
type tail struct {
	at      chain // after everything that can be read
	lost    int64 // the sequence after the last one known to have been given out
	last    *chunk
	whole   bool // last is raw and can take more records
	pending losses
	unknown bool // losses were noted that cannot be read
}

// tile lays saved gaps and segments end to end into s.chunks. st is nil when
// nobody knows what was acknowledged: then everything kept is shipped again.
func (s *Spool) tile(st *state, files []*chunk) (tail, error) {
	items := slices.Clone(files)
	var t tail
	switch {
	case st != nil:
		t.at.next, s.acked = st.Acked, st.Acked
		for _, g := range st.Gaps {
			items = append(items, g.chunk())
		}
	case len(files) > 0:
		t.at.next, s.acked = files[0].first, files[0].first
	}
	slices.SortStableFunc(items, func(a, b *chunk) int {
		return cmp.Or(cmp.Compare(a.first, b.first), -cmp.Compare(a.kind, b.kind)) // a gap before the file it replaced
	})
	for i, c := range items {
		following := int64(-1)
		if i < len(items)-1 {
			following = items[i+1].first
		}
		covered := len(s.chunks) > 0 && c.first < t.at.next && c.kind != gap
		spent := following >= 0 && following <= s.acked
		if c.kind == gap {
			spent = c.next <= s.acked
		}
		if covered || spent {
			s.discard(c)
			continue
		}
		if err := s.lay(c, &t, following); err != nil {
			return t, err
		}
	}
	return t, nil
}

// lay adds a chunk after those before it, and a gap for what is missing
// between. following is the first sequence of the next file, or -1.
func (s *Spool) lay(c *chunk, t *tail, following int64) error {
	if c.first > t.at.next {
		s.missing(t.at, c.first)
		t.at.anchor = ""
	}
	if c.first < t.at.next && len(s.chunks) > 0 { // a gap that a cut left in the middle of a file
		s.chunks[len(s.chunks)-1].next = c.first
	}
	if t.at.next != c.first {
		t.at = chain{next: c.first}
	}
	t.last, t.whole = c, false
	var err error
	switch c.kind {
	case gap:
		t.at = chain{next: c.next}
	case packed:
		err = s.layPacked(c, t, following)
	case raw:
		err = s.layRaw(c, t)
	}
	if err != nil {
		return err
	}
	c.touched = c.touched || c.first < s.acked
	if c.next > c.first {
		s.chunks = append(s.chunks, c)
		s.resize(c.size)
	} else if following >= 0 {
		s.discard(c)
	}
	return nil
}

// missing adds a gap for sequences that no file holds.
func (s *Spool) missing(at chain, next int64) {
	c := &chunk{first: at.next, next: next, prev: at.anchor, decisions: next - at.next, touched: true}
	c.becomeGap(s.now(), decision.GapCorrupt)
	s.chunks = append(s.chunks, c)
	s.lost.AddInt64(c.decisions)
	s.changed, s.urgent = true, true
	s.log.Error("decision records are missing", "first", c.first, "last", c.next-1)
}

func (s *Spool) layPacked(c *chunk, t *tail, following int64) error {
	path := c.path(s.dir)
	h, size, err := readPacked(path)
	c.size, c.prev = size, t.at.anchor
	switch {
	case err == nil && h.first == c.first:
		c.next, c.prev, c.decisions = h.next, h.prevHash, h.decisions
	case err != nil && !errors.Is(err, errHeader):
		return err
	case following >= 0:
		c.next, c.decisions = following, following-c.first
	default:
		u, err := unpack(path, t.at, math.MaxInt64, maxSegment)
		if err != nil {
			return err
		}
		c.next, c.decisions = u.end.next, u.decisions
	}
	t.at = chain{next: c.next}
	return nil
}

func (s *Spool) layRaw(c *chunk, t *tail) error {
	file, err := os.OpenFile(c.path(s.dir), os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	c.file = file
	data, err := io.ReadAll(io.LimitReader(file, 2*maxSegment))
	if err != nil {
		s.log.Error("decision segment cannot be read to its end", "first", c.first, "error", err)
	}
	c.size, c.prev = int64(len(data)), t.at.anchor
	h, ok := readHeader(data)
	if ok = ok && h.first == c.first; ok {
		c.prev = h.prevHash
	}
	found := scan(data, chain{c.first, c.prev})
	c.next, c.end, c.decisions = found.at.next, found.end, found.decisions
	t.at, t.lost = found.at, max(t.lost, found.lost)
	t.whole = ok && !found.damaged && err == nil && h.size == int64(len(data)) && len(data)%os.Getpagesize() == 0
	t.pending, t.unknown = losses{}, false
	if len(data) >= headerSize {
		t.pending, t.unknown = readLosses(data)
		if t.pending.sequence <= found.declared {
			t.pending.count = 0
		}
	}
	if ok && h.size > int64(len(data)) && found.end >= len(data) { // cut off among records
		t.lost = max(t.lost, found.at.next+1)
	}
	return nil
}

// resume makes the last segment active again, or begins a new one with a gap
// record for what the newest one lost.
func (s *Spool) resume(st *state, t tail) error {
	if t.at.next == st.Next && t.at.anchor == "" {
		t.at.anchor = st.Hash
	}
	lost := max(t.at.next, t.lost, st.Next)
	s.next, s.hashed = t.at.next, copy(s.hash[:], t.at.anchor)
	s.pending = losses{generation: t.pending.generation + 1, count: t.pending.count, sequence: lost}
	if t.whole && lost == t.at.next {
		if err := s.adopt(t.last); err != nil {
			return err
		}
	} else if err := s.restart(lost, t.last); err != nil {
		return err
	}
	if t.unknown {
		return s.writeGap(decision.GapSpoolFull, 0)
	}
	return nil
}

// adopt maps an existing segment to append to it.
func (s *Spool) adopt(c *chunk) error {
	data, err := mapFile(c.file, int(c.size))
	if err != nil {
		return err
	}
	c.data, c.synced = data, 0
	clear(data[slotsAt : slotsAt+2*slotSize])
	if s.pending.count > 0 {
		s.pending.put(data)
	}
	if c.next == c.first {
		s.chunks = append(s.chunks, c)
		s.resize(c.size)
	}
	s.unsynced = append(s.unsynced, c)
	return nil
}

// restart begins a new active segment. Its first record declares the sequences
// from s.next to below lost. damaged, if it holds nothing, gives up its name.
func (s *Spool) restart(lost int64, damaged *chunk) error {
	var line []byte
	if lost > s.next {
		declared := chunk{first: s.next, next: lost, prev: string(s.hash[:s.hashed]), decisions: lost - s.next}
		declared.becomeGap(s.now(), decision.GapTornTail)
		line = declared.line()
		s.lost.AddInt64(declared.decisions)
		s.log.Error("the newest decision records cannot be read back", "first", declared.first, "last", lost-1)
	}
	c, err := s.begin(line)
	if err != nil {
		return err
	}
	if damaged != nil && damaged.file != nil && damaged.next == damaged.first {
		s.closing = append(s.closing, damaged.file)
	}
	if line != nil {
		s.next, s.hashed = lost, copy(s.hash[:], decision.Hash(line))
		c.next, c.decisions = lost, lost-c.first
	}
	s.activate(c)
	return nil
}
