package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/klauspost/compress/zstd"
)

var errHeader = errors.New("spool: segment header is damaged")

// readPacked answers what a packed segment's header promises, and the file's
// size. errHeader: it can not be believed.
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
	var head [skippableSize]byte
	if _, err := io.ReadFull(file, head[:]); err != nil {
		return header{}, info.Size(), errHeader
	}
	h, ok := readHeader(head[8:])
	if !ok || binary.LittleEndian.Uint32(head[:]) != skippableMagic {
		return header{}, info.Size(), errHeader
	}
	return h, info.Size(), nil
}

// unpacked is what a packed segment still holds.
type unpacked struct {
	lines     []byte // each with its LF
	end       chain  // after the last of them
	decisions int64
	intact    bool // nothing is missing
}

// unpack reads the lines of a packed segment that begins at the chain and ends
// before next, as far as they can be trusted. An error is only answered when
// trying again may help.
func unpack(path string, at chain, next int64, limit int) (unpacked, error) {
	file, err := os.Open(path)
	if err != nil {
		return unpacked{}, fmt.Errorf("spool: %w", err)
	}
	defer func() { _ = file.Close() }() // only read
	if _, err := file.Seek(skippableSize, io.SeekStart); err != nil {
		return unpacked{}, fmt.Errorf("spool: %w", err)
	}
	reader, err := zstd.NewReader(file, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(8<<20))
	if err != nil {
		return unpacked{}, fmt.Errorf("spool: %w", err)
	}
	defer reader.Close()
	all := make([]byte, 0, min(limit, 64<<10)) // a folder of small segments needs no more
	for err == nil && len(all) < limit {
		all = slices.Grow(all, 1)
		var n int
		n, err = reader.Read(all[len(all):min(cap(all), limit)])
		all = all[:len(all)+n]
	}
	return trust(all, at, next, errors.Is(err, io.EOF)), nil
}

// trust keeps the lines that follow the chain. Unless the checksum over all of
// them was right, a line is only as good as the next one's prevHash.
func trust(all []byte, at chain, next int64, checked bool) unpacked {
	u, vouched := unpacked{end: at}, unpacked{end: at}
	for good := 0; good < len(all); {
		if checked && u.end.next == next {
			break
		}
		length := bytes.IndexByte(all[good:], '\n')
		if length < 0 {
			break
		}
		before, named := u, u.end.anchor != ""
		e, ok := u.end.follow(all[good : good+length])
		if !ok {
			break
		}
		if named && len(e.prevHash) > 0 {
			if vouched = before; vouched.end.next == next {
				break
			}
		}
		good += length + 1
		u.decisions += e.decisions
		u.lines = all[:good]
	}
	if checked {
		vouched = u
	}
	vouched.intact = vouched.end.next == next
	return vouched
}
