package spool

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// ReadDir visits the lines of a spool folder, oldest first, without taking part
// in it: whoever writes there goes on. A line is valid during the visit, without
// its LF; an error of visit ends it. What cannot be read back is passed over, and counted in damaged segments.
func ReadDir(dir string, visit func(line []byte) error) (damaged int, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, fmt.Errorf("spool: %w", err)
	}
	names := map[string]string{} // of a segment in its two forms the packed one counts
	for _, entry := range entries {
		if base, isRaw := strings.CutSuffix(entry.Name(), rawSuffix); isRaw && names[base] == "" {
			names[base] = entry.Name()
		} else if base, isPacked := strings.CutSuffix(entry.Name(), packedSuffix); isPacked {
			names[base] = entry.Name()
		}
	}
	ordered := make([]string, 0, len(names))
	for _, name := range names {
		ordered = append(ordered, name)
	}
	slices.Sort(ordered) // they begin with the first sequence, in 20 digits
	for _, name := range ordered {
		whole, err := readSegment(filepath.Join(dir, name), visit)
		if base, isRaw := strings.CutSuffix(name, rawSuffix); isRaw && errors.Is(err, fs.ErrNotExist) { // it was packed meanwhile
			whole, err = readSegment(filepath.Join(dir, base+packedSuffix), visit)
		}
		switch {
		case errors.Is(err, fs.ErrNotExist): // it was dropped, or shipped
		case err != nil:
			return damaged, err
		case !whole:
			damaged++
		}
	}
	return damaged, nil
}

func readSegment(path string, visit func(line []byte) error) (whole bool, err error) {
	if strings.HasSuffix(path, packedSuffix) {
		return readPackedLines(path, visit)
	}
	file, err := os.Open(path)
	if err != nil {
		return false, fmt.Errorf("spool: %w", err)
	}
	defer func() { _ = file.Close() }() // only read
	data, err := io.ReadAll(io.LimitReader(file, 2*maxSegment))
	if err != nil {
		return false, fmt.Errorf("spool: %w", err)
	}
	if len(data) < headerSize {
		return false, nil
	}
	if _, ok := readHeader(data); !ok {
		return false, nil
	}
	at := headerSize
	for {
		line, next := frameAt(data, at)
		if line == nil {
			return allZero(data[at:]), nil
		}
		if err := visit(line); err != nil {
			return true, err
		}
		at = next
	}
}

func readPackedLines(path string, visit func(line []byte) error) (whole bool, err error) {
	h, _, err := readPacked(path)
	if errors.Is(err, errHeader) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	next := h.next
	if next == 0 {
		next = math.MaxInt64
	}
	u, err := unpack(path, chain{h.first, h.prevHash}, next, maxSegment)
	if err != nil {
		return false, err
	}
	for line := range bytes.Lines(u.lines) {
		if err := visit(bytes.TrimSuffix(line, []byte("\n"))); err != nil {
			return true, err
		}
	}
	return u.intact, nil
}
