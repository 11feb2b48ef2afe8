package spool

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math"
	"strconv"
	"sync/atomic"
	"unsafe"

	"github.com/sentryagent/agentidp/shared/decision"
)

// A raw segment is a preallocated file of zeros:
//
//	header   headerSize bytes (see header.go)
//	frames   each at a multiple of 8: length u32, CRC-32C u32 of the line seeded with length, line
//	zeros    up to the file's size
//
// The length is stored last and at once, so a process killed in the middle of
// an append leaves a frame without length: visibly torn, never half right.
const (
	frameHead  = 8
	frameAlign = 8
	// prefixMax bounds what appendPrefix writes: names and quotes, 19 digits, 64 hex digits.
	prefixMax = 32 + 19 + 64
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func aligned(n int) int { return (n + frameAlign - 1) &^ (frameAlign - 1) }

// putFrame finishes a frame whose line stands at data[at+frameHead:] already.
func putFrame(data []byte, at, length int) {
	line := data[at+frameHead : at+frameHead+length]
	binary.LittleEndian.PutUint32(data[at+4:], checksum(line))
	// The mapping is page aligned and at a multiple of 8 in it.
	atomic.StoreUint32((*uint32)(unsafe.Pointer(&data[at])), uint32(length)) //nolint:gosec // an atomic store needs the address
}

// checksum covers the length too: it is the seed.
func checksum(line []byte) uint32 {
	return crc32.Update(uint32(len(line)), castagnoli, line)
}

// frameAt reads the frame at data[at:]. It answers nil when there is none, or none that is whole.
func frameAt(data []byte, at int) (line []byte, next int) {
	if at+frameHead > len(data) {
		return nil, at
	}
	length := int(binary.LittleEndian.Uint32(data[at:]))
	if length == 0 || length > decision.MaxLine || at+frameHead+length > len(data) {
		return nil, at
	}
	line = data[at+frameHead : at+frameHead+length]
	if checksum(line) != binary.LittleEndian.Uint32(data[at+4:]) {
		return nil, at
	}
	return line, aligned(at + frameHead + length)
}

// entry is the little that the spool itself reads from a line.
type entry struct {
	first, sequence int64 // differ in a gap that stands for lost sequences
	decisions       int64 // how many decisions are lost when the line is
	losses          bool  // a gap that declares decisions without a sequence
	prevHash        []byte
	anchored        bool // false: the next line's prevHash cannot be checked against this line
	restarts        bool // a gap without prevHash: the chain begins anew
}

var (
	sequenceName = []byte(`{"sequence":`)
	prevHashName = []byte(`,"prevHash":"`)
	// A quote inside a JSON string is escaped, so this cannot stand in one.
	gapMark   = []byte(`,"outcome":"gap"`)
	countMark = []byte(`,"count":`)
	// Behind the hash's closing quote.
	decisionMark = []byte(`","decisionId":`)
)

// parseEntry reads a line of our own encoding.
func parseEntry(line []byte) (entry, bool) {
	rest, ok := bytes.CutPrefix(line, sequenceName)
	if !ok {
		return entry{}, false
	}
	digits := bytes.IndexByte(rest, ',')
	if digits < 1 {
		return entry{}, false
	}
	sequence, err := strconv.ParseInt(string(rest[:digits]), 10, 64)
	rest, ok = bytes.CutPrefix(rest[digits:], prevHashName)
	if err != nil || sequence < 0 || sequence == math.MaxInt64 || !ok {
		return entry{}, false
	}
	quote := bytes.IndexByte(rest, '"')
	if quote != 0 && quote != hashSize {
		return entry{}, false
	}
	e := entry{first: sequence, sequence: sequence, decisions: 1, prevHash: rest[:quote], anchored: true}
	if single(rest[quote:]) {
		return e, true
	}
	if bytes.Contains(line, gapMark) || bytes.Contains(line, countMark) {
		r, err := decision.Parse(line)
		if err != nil {
			return entry{}, false
		}
		e.first, e.anchored = r.First(), r.FirstSequence == nil
		if r.Count > 1 || r.Outcome == decision.Gap {
			e.decisions = r.Count
		}
		e.losses = r.Outcome == decision.Gap && r.FirstSequence == nil
		e.restarts = r.Outcome == decision.Gap && r.PrevHash == ""
	}
	return e, true
}

// single reports, at a glance, that the rest of a line is a decision's own: a gap
// has no decision id, and a count is the last member.
func single(rest []byte) bool {
	last := rest[bytes.LastIndexByte(rest, ',')+1:]
	return bytes.HasPrefix(rest, decisionMark) && !bytes.HasPrefix(last, countMark[1:])
}

// hashSize is the length of a chain hash: hexadecimal SHA-256.
const hashSize = 64

// chain is the place after a line: what the next one must be.
type chain struct {
	next   int64  // its first sequence
	anchor string // its prevHash; "": unknown, anything
}

// follow checks that line continues the chain and steps past it.
func (c *chain) follow(line []byte) (entry, bool) {
	e, ok := parseEntry(line)
	if !ok || e.first != c.next {
		return entry{}, false
	}
	if c.anchor != "" && string(e.prevHash) != c.anchor && !e.restarts {
		return entry{}, false
	}
	c.next, c.anchor = e.sequence+1, ""
	if e.anchored {
		c.anchor = decision.Hash(line)
	}
	return e, true
}

// scanned is what a walk over a raw segment found.
type scanned struct {
	end       int // offset after the last good frame
	at        chain
	decisions int64
	declared  int64 // the sequence of the last gap that declares decisions without a sequence; -1: none
	// damaged: bytes after end are not zero. lost is then the sequence after the
	// last one that was given out, as far as the remains tell; at least one is lost.
	damaged bool
	lost    int64
}

// scan walks the frames of data from headerSize on, which must continue the chain.
func scan(data []byte, at chain) scanned {
	s := scanned{end: headerSize, at: at, declared: -1}
	for {
		line, next := frameAt(data, s.end)
		if line == nil {
			break
		}
		e, ok := s.at.follow(line)
		if !ok {
			break
		}
		s.decisions += e.decisions
		s.end = next
		if e.losses {
			s.declared = e.sequence
		}
	}
	if s.end >= len(data) || allZero(data[s.end:]) {
		return s
	}
	s.damaged, s.lost = true, s.at.next+1
	for off := s.end; off < len(data); {
		line, next := frameAt(data, off)
		if line == nil {
			off += frameAlign
			continue
		}
		if e, ok := parseEntry(line); ok && e.sequence >= s.lost {
			s.lost = e.sequence + 1
		}
		off = next
	}
	return s
}

var zeroPage [4096]byte

func allZero(b []byte) bool {
	for len(b) > len(zeroPage) {
		if !bytes.Equal(b[:len(zeroPage)], zeroPage[:]) {
			return false
		}
		b = b[len(zeroPage):]
	}
	return bytes.Equal(b, zeroPage[:len(b)])
}
