package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/klauspost/compress/zstd"
)

// A packed segment is a skippable zstd frame with the header, then one frame of
// NDJSON with its checksum.
const (
	skippableMagic = 0x184D2A50
	skippableSize  = 8 + headerBytes
)

// pack compresses the oldest raw segment that has waited long enough. again:
// there may be more to do.
func (s *Spool) pack() (again bool, err error) {
	c := s.packable()
	if c == nil {
		return false, nil
	}
	frames, err := readFrames(c.file, c.end)
	if err == nil {
		err = replaceFile(s.packedPath(c), packFrames(c, frames))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.file == nil || !s.holds(c) { // dropped or acknowledged meanwhile
		s.trash = append(s.trash, s.packedPath(c))
		s.changed, s.urgent = true, true
		return true, nil
	}
	if err != nil {
		c.unpackable = true
		return true, err
	}
	info, err := os.Stat(s.packedPath(c))
	if err != nil {
		return false, fmt.Errorf("spool: %w", err)
	}
	s.trash, s.closing = append(s.trash, c.path(s.dir)), append(s.closing, c.file)
	s.changed, s.urgent = true, true
	before := c.size
	c.kind, c.file, c.end, c.size = packed, nil, 0, info.Size()
	s.resize(c.size - before)
	return true, nil
}

func (s *Spool) packedPath(c *chunk) string {
	packed := chunk{kind: packed, first: c.first}
	return packed.path(s.dir)
}

// packable answers the next segment to pack, or nil.
func (s *Spool) packable() *chunk {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	for _, c := range s.chunks[:max(0, len(s.chunks)-1-keepRaw)] {
		if c.kind == raw && !c.unpackable && c.next > s.acked {
			return c
		}
	}
	return nil
}

// holds reports whether c is still part of the spool. mu is held.
func (s *Spool) holds(c *chunk) bool {
	for _, other := range s.chunks {
		if other == c {
			return true
		}
	}
	return false
}

func readFrames(file *os.File, end int) ([]byte, error) {
	frames := make([]byte, end-headerSize)
	if _, err := file.ReadAt(frames, headerSize); err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	return frames, nil
}

func packFrames(c *chunk, frames []byte) []byte {
	packed := make([]byte, skippableSize, skippableSize+len(frames)/4)
	binary.LittleEndian.PutUint32(packed, skippableMagic)
	binary.LittleEndian.PutUint32(packed[4:], headerBytes)
	header{first: c.first, next: c.next, decisions: c.decisions, prevHash: c.prev}.put(packed[8:])
	lines := frames[:0] // a line and its LF are shorter than its frame
	for at := 0; at < len(frames); {
		line, next := frameAt(frames, at)
		if line == nil {
			break
		}
		lines = append(append(lines, line...), '\n')
		at = next
	}
	return encoder().EncodeAll(lines, packed)
}

func encoder() *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(256<<10), zstd.WithLowerEncoderMem(true))
	if err != nil {
		panic(err) // the options are constants
	}
	return e
}

// readPacked answers what a packed segment's header promises.
func readPacked(path string) (header, int64, error) {
	file, err := os.Open(path)
	if err != nil {
		return header{}, 0, fmt.Errorf("spool: %w", err)
	}
	defer func() { _ = file.Close() }() // only read
	info, err := file.Stat()
	if err != nil {
		return header{}, 0, fmt.Errorf("spool: %w", err)
	}
	head := make([]byte, skippableSize)
	if _, err := io.ReadFull(file, head); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return header{}, 0, fmt.Errorf("spool: %w", err)
	}
	h, ok := readHeader(head[8:])
	if !ok || binary.LittleEndian.Uint32(head) != skippableMagic || binary.LittleEndian.Uint32(head[4:]) != headerBytes {
		return header{}, info.Size(), errHeader
	}
	return h, info.Size(), nil
}

var errHeader = errors.New("spool: segment header is damaged")

// unpack answers the lines of a packed segment as far as they can be trusted,
// with their LFs, and the place after them. intact: to the end.
func unpack(path string, at chain, next int64, limit int) (lines []byte, end chain, intact bool, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, at, false, fmt.Errorf("spool: %w", err)
	}
	defer func() { _ = file.Close() }() // only read
	reader, err := zstd.NewReader(file, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(8<<20))
	if err != nil {
		return nil, at, false, fmt.Errorf("spool: %w", err)
	}
	defer reader.Close()
	var buffer bytes.Buffer
	_, err = io.Copy(&buffer, io.LimitReader(reader, int64(limit)))
	if pathErr := (*fs.PathError)(nil); errors.As(err, &pathErr) {
		return nil, at, false, fmt.Errorf("spool: %w", err)
	}
	checked := err == nil
	all := buffer.Bytes()
	good, trusted := 0, 0 // bytes that chain, and of these the ones vouched for
	before := at
	for good < len(all) {
		length := bytes.IndexByte(all[good:], '\n')
		if length < 0 {
			break
		}
		e, ok := at.follow(all[good : good+length])
		if !ok {
			break
		}
		// Without the checksum a line is only as good as the next one's prevHash.
		if len(e.prevHash) > 0 {
			trusted, end = good, before
		}
		good += length + 1
		before = at
	}
	_ = checked
	return all[:trusted], end, at.next == next, nil
}
