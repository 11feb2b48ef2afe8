package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"

	"github.com/klauspost/compress/zstd"

	"github.com/sentryagent/agentidp/shared/durable"
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
	c, whole := s.packable()
	if c == nil {
		return false, nil
	}
	small := chunk{kind: packed, first: whole.first}
	path := small.path(s.dir)
	if small.size, err = packFile(path, whole); err != nil {
		err = fmt.Errorf("spool: pack: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changed, s.urgent = true, true
	if c.file == nil || !slices.Contains(s.chunks, c) { // dropped or acknowledged meanwhile
		s.trash = append(s.trash, path)
		return true, nil
	}
	if err != nil {
		return false, err
	}
	s.trash, s.closing = append(s.trash, c.path(s.dir)), append(s.closing, c.file)
	s.resize(small.size - c.size)
	c.kind, c.file, c.end, c.size = packed, nil, 0, small.size
	return true, nil
}

// packable answers the next segment to pack and a copy of it, or nil.
func (s *Spool) packable() (*chunk, chunk) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, chunk{}
	}
	for _, c := range s.chunks[:max(0, len(s.chunks)-1-s.raws())] {
		if c.kind == raw && c.next > s.acked {
			return c, c.view()
		}
	}
	return nil, chunk{}
}

// packFile writes the packed form of a sealed raw chunk and answers its size.
// Frames that cannot be read end it; the reader finds that out by its header.
func packFile(path string, c chunk) (int64, error) {
	err := durable.Replace(path, func(w io.Writer) error {
		head := make([]byte, skippableSize)
		binary.LittleEndian.PutUint32(head, skippableMagic)
		binary.LittleEndian.PutUint32(head[4:], headerBytes)
		header{first: c.first, next: c.next, decisions: c.decisions, prevHash: c.prev}.put(head[8:])
		if _, err := w.Write(head); err != nil {
			return err
		}
		encoder, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
			zstd.WithWindowSize(256<<10), zstd.WithLowerEncoderMem(true))
		if err != nil {
			return err
		}
		return errors.Join(copyLines(encoder, c), encoder.Close())
	})
	if err != nil {
		return 0, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// copyLines writes the lines of a raw chunk, each with its LF.
func copyLines(w io.Writer, c chunk) error {
	block := make([]byte, 64<<10) // longer than the longest frame
	for offset := headerSize; offset < c.end; {
		n, err := c.file.ReadAt(block[:min(len(block), c.end-offset)], int64(offset))
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		used, lines := 0, block[:0] // a line and its LF are shorter than its frame
		for {
			line, next := frameAt(block[:n], used)
			if line == nil {
				break
			}
			lines, used = append(append(lines, line...), '\n'), next
		}
		if used == 0 {
			return nil
		}
		if _, err := w.Write(lines); err != nil {
			return err
		}
		runtime.Gosched() // requests that wait for the core go first
		offset += used
	}
	return nil
}
