package spool

import (
	"encoding/binary"
	"hash/crc32"
)

// The header of a raw segment, and of a packed one inside a skippable zstd frame:
//
//	0    magic
//	8    first sequence, u64
//	16   next sequence, u64 (packed only)
//	24   decisions, u64 (packed only)
//	32   size of the file, u64 (raw only)
//	40   prevHash of the first record, 64 bytes, zeros when ""
//	104  CRC-32C of what is above, u32
//	128  two slots of losses, 32 bytes each (raw only)
//	256  frames
const (
	headerSize  = 256
	headerBytes = 108 // without the slots
	slotsAt     = 128
	slotSize    = 32
)

var magic = [8]byte{'A', 'I', 'D', 'P', 'S', 'P', 'L', '1'}

type header struct {
	first, next, decisions, size int64
	prevHash                     string
}

func (h header) put(b []byte) {
	copy(b, magic[:])
	binary.LittleEndian.PutUint64(b[8:], uint64(h.first))
	binary.LittleEndian.PutUint64(b[16:], uint64(h.next))
	binary.LittleEndian.PutUint64(b[24:], uint64(h.decisions))
	binary.LittleEndian.PutUint64(b[32:], uint64(h.size))
	clear(b[40:104])
	copy(b[40:104], h.prevHash)
	binary.LittleEndian.PutUint32(b[104:], crc32.Checksum(b[:104], castagnoli))
}

func readHeader(b []byte) (header, bool) {
	if len(b) < headerBytes || [8]byte(b[:8]) != magic || crc32.Checksum(b[:104], castagnoli) != binary.LittleEndian.Uint32(b[104:]) {
		return header{}, false
	}
	h := header{
		first:     int64(binary.LittleEndian.Uint64(b[8:])),
		next:      int64(binary.LittleEndian.Uint64(b[16:])),
		decisions: int64(binary.LittleEndian.Uint64(b[24:])),
		size:      int64(binary.LittleEndian.Uint64(b[32:])),
	}
	if b[40] != 0 {
		h.prevHash = string(b[40:104])
	}
	return h, true
}

// losses are decisions that got no sequence and no gap record yet. They live
// in the mapped header of the active segment, so that a killed process forgets
// none: two slots written in turn, the newer whole one counts.
type losses struct {
	generation uint64
	count      int64
	sequence   int64 // the next sequence when the last of them was lost
}

func (l losses) put(data []byte) {
	b := data[slotsAt+int(l.generation%2)*slotSize:][:slotSize]
	binary.LittleEndian.PutUint32(b[24:], 0)
	binary.LittleEndian.PutUint64(b, l.generation)
	binary.LittleEndian.PutUint64(b[8:], uint64(l.count))
	binary.LittleEndian.PutUint64(b[16:], uint64(l.sequence))
	binary.LittleEndian.PutUint32(b[24:], crc32.Checksum(b[:24], castagnoli))
}

// readLosses answers the newest whole slot. A slot without checksum was being
// written when the process died: its Append never returned. damaged: a slot was
// written whole and cannot be read back, so the count may be too low.
func readLosses(data []byte) (newest losses, damaged bool) {
	for i := range 2 {
		b := data[slotsAt+i*slotSize:][:slotSize]
		if allZero(b) {
			continue
		}
		l := losses{
			generation: binary.LittleEndian.Uint64(b),
			count:      int64(binary.LittleEndian.Uint64(b[8:])),
			sequence:   int64(binary.LittleEndian.Uint64(b[16:])),
		}
		if crc32.Checksum(b[:24], castagnoli) != binary.LittleEndian.Uint32(b[24:]) || l.generation%2 != uint64(i) {
			damaged = damaged || binary.LittleEndian.Uint32(b[24:]) != 0
			continue
		}
		if l.generation >= newest.generation {
			newest = l
		}
	}
	return newest, damaged
}
