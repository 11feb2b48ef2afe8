package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sentryagent/agentidp/shared/decision"
)

// kind is how a chunk keeps its records.
type kind uint8

const (
	raw    kind = iota // frames in a preallocated file
	packed             // NDJSON under zstd
	gap                // no records any more: one gap record stands for them
)

// chunk is a run of consecutive sequences. The chunks of a spool tile the
// sequences from the first one kept to the next one to give out.
// Guarded by Spool.mu, but for data (see there).
type chunk struct {
	kind      kind
	first     int64  // first sequence; the file's name
	next      int64  // sequence after the last
	prev      string // hash of the line before first
	decisions int64  // how many are lost when the chunk is
	touched   bool   // handed to the shipper, in part or whole: must not be dropped or changed
	size      int64  // bytes on disk

	file *os.File // raw: open until the chunk leaves the list
	end  int      // raw: offset after the last frame

	// data maps the file of the active chunk. Append writes it under Spool.mu
	// while the chunk is active; flush syncs it and unmaps it once sealed.
	data   []byte
	synced int // data[:synced] is on disk

	gap decision.Record // gap: the record
}

// view is a copy for readers that do not hold Spool.mu: all but the mapping.
func (c *chunk) view() chunk {
	return chunk{
		kind: c.kind, first: c.first, next: c.next, prev: c.prev, decisions: c.decisions,
		size: c.size, file: c.file, end: c.end, gap: c.gap,
	}
}

const (
	rawSuffix    = ".log"
	packedSuffix = ".ndjson.zst"
	spareName    = "spare.tmp" // made ahead by tendLoop
	nextName     = "next.tmp"  // made by Append when there is no spare
)

func fileName(first int64, suffix string) string { return fmt.Sprintf("%020d%s", first, suffix) }

// blank is a preallocated raw segment that holds nothing yet.
type blank struct {
	path string
	file *os.File
	data []byte
}

// newBlank writes size zeros to path, so that the file system has set the space
// aside before anything is stored into the mapping, and maps them. They reach
// the disk with what is stored.
func newBlank(path string, size int) (*blank, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	b := &blank{path: path, file: file}
	for done := 0; done < size; {
		n, err := file.Write(zeroBlock[:min(len(zeroBlock), size-done)])
		if err != nil {
			return nil, errors.Join(fmt.Errorf("spool: preallocate: %w", err), b.discard())
		}
		done += n
	}
	if b.data, err = mapFile(file, size); err != nil {
		return nil, errors.Join(err, b.discard())
	}
	return b, nil
}

var zeroBlock [256 << 10]byte

func mapFile(file *os.File, size int) ([]byte, error) {
	data, err := unix.Mmap(int(file.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("spool: map: %w", err)
	}
	return data, nil
}

// discard closes and removes the file.
func (b *blank) discard() error {
	var err error
	if b.data != nil {
		err = unix.Munmap(b.data)
	}
	return errors.Join(err, b.file.Close(), os.Remove(b.path))
}

// begin writes the header, the pending losses and the first line, if any, and
// gives the file its name: from then on it is part of the spool in dir. The
// answered chunk starts at the chain.
func (b *blank) begin(dir string, at chain, pending losses, line []byte) (*chunk, error) {
	header{first: at.next, size: int64(len(b.data)), prevHash: at.anchor}.put(b.data)
	if pending.count > 0 {
		pending.put(b.data)
	}
	c := &chunk{
		kind: raw, first: at.next, next: at.next, prev: at.anchor, size: int64(len(b.data)),
		file: b.file, data: b.data, end: headerSize,
	}
	if len(line) > 0 {
		copy(b.data[headerSize+frameHead:], line)
		putFrame(b.data, headerSize, len(line))
		c.end = aligned(headerSize + frameHead + len(line))
	}
	if err := os.Rename(b.path, filepath.Join(dir, fileName(at.next, rawSuffix))); err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	return c, nil
}

// path of the chunk's file; "" for a gap.
func (c *chunk) path(dir string) string {
	switch c.kind {
	case raw:
		return filepath.Join(dir, fileName(c.first, rawSuffix))
	case packed:
		return filepath.Join(dir, fileName(c.first, packedSuffix))
	default:
		return ""
	}
}

// sync makes data[:end] durable; head: the losses in the first page changed in place.
func (c *chunk) sync(end int, head bool) error {
	page := os.Getpagesize()
	if head {
		if err := unix.Msync(c.data[:page], unix.MS_SYNC); err != nil {
			return fmt.Errorf("spool: msync: %w", err)
		}
	}
	if c.synced >= end {
		return nil
	}
	first := c.synced &^ (page - 1)
	if err := unix.Msync(c.data[first:end], unix.MS_SYNC); err != nil {
		return fmt.Errorf("spool: msync: %w", err)
	}
	c.synced = end
	// Whole pages are written no more: the mapping need not hold them. The file does.
	if whole := end &^ (page - 1); whole > first {
		_ = unix.Madvise(c.data[first:whole], unix.MADV_DONTNEED) // they may be locked
	}
	return nil
}

func (c *chunk) unmap() error {
	if c.data == nil {
		return nil
	}
	err := unix.Munmap(c.data)
	c.data = nil
	if err != nil {
		return fmt.Errorf("spool: unmap: %w", err)
	}
	return nil
}

// becomeGap turns the chunk into a gap record that stands for all its sequences.
func (c *chunk) becomeGap(at, reason string) {
	c.kind, c.size, c.file, c.end = gap, 0, nil, 0
	c.gap = decision.Record{Time: at, Outcome: decision.Gap, Reason: reason}
	c.widen(c.first, c.next, c.decisions)
}

// widen sets what a gap stands for.
func (c *chunk) widen(first, next, decisions int64) {
	c.first, c.next, c.decisions = first, next, decisions
	c.gap.FirstSequence, c.gap.Sequence, c.gap.Count = &c.first, next-1, decisions
}

// line is the gap record's line.
func (c *chunk) line() []byte {
	b := appendPrefix(make([]byte, 0, 512), c.gap.Sequence, []byte(c.prev))
	return appendTail(b, &c.gap, time.Time{}, clipAt)
}
