package auditlog

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"math/bits"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/sentryagent/agentidp/idp/internal/store"
)

// pruning is what one event audit.pruned says.
type pruning struct {
	class       store.Class
	month       time.Time
	count       int64
	first, last int64 // the lowest and the highest sequence
	digest      [sha256.Size]byte
}

const monthLayout = "2006-01"

// tally gathers what a pruning takes, segment by rising segment. Its digest is
// SHA-256 over the segments' numbers (8 bytes, big-endian), each with its bitmap.
type tally struct {
	digest      hash.Hash
	count       int64
	first, last int64
}

func newTally() *tally { return &tally{digest: sha256.New(), first: -1, last: -1} }

func (t *tally) add(s *store.PrunedSegment) {
	t.digest.Write(binary.BigEndian.AppendUint64(nil, uint64(s.Segment)))
	t.digest.Write(s.Bitmap[:])
	for at, b := range s.Bitmap {
		if b == 0 {
			continue
		}
		base := s.Segment<<store.SegmentBits + int64(at)<<3
		if t.first < 0 {
			t.first = base + int64(bits.TrailingZeros8(b))
		}
		t.last = base + int64(bits.Len8(b)) - 1
		t.count += int64(bits.OnesCount8(b))
	}
}

// newPruning describes the segments, which are in order, and names it in them.
func newPruning(class store.Class, month time.Time, segments []store.PrunedSegment) pruning {
	t := newTally()
	for i := range segments {
		t.add(&segments[i])
	}
	p := pruning{class: class, month: month, count: t.count, first: t.first, last: t.last, digest: [sha256.Size]byte(t.digest.Sum(nil))}
	for i := range segments {
		segments[i].Pruning = p.digest
	}
	return p
}

// mark puts sequences into segments, without those that are recorded.
func mark(sequences []int64, recorded []store.PrunedSegment) []store.PrunedSegment {
	bitmaps := map[int64]*store.Bitmap{}
	for _, sequence := range sequences {
		segment := sequence >> store.SegmentBits
		if bitmaps[segment] == nil {
			bitmaps[segment] = &store.Bitmap{}
		}
		at, bit := place(sequence)
		bitmaps[segment][at] |= bit
	}
	for i := range recorded {
		if bitmap := bitmaps[recorded[i].Segment]; bitmap != nil {
			for at, taken := range recorded[i].Bitmap {
				bitmap[at] &^= taken
			}
		}
	}
	var segments []store.PrunedSegment
	for segment, bitmap := range bitmaps {
		if *bitmap != (store.Bitmap{}) {
			segments = append(segments, store.PrunedSegment{Segment: segment, Bitmap: *bitmap})
		}
	}
	slices.SortFunc(segments, func(x, y store.PrunedSegment) int { return int(x.Segment - y.Segment) })
	return segments
}

// place is where a segment's bitmap has the sequence.
func place(sequence int64) (at int, bit byte) {
	within := sequence & (1<<store.SegmentBits - 1)
	return int(within >> 3), 1 << (within & 7)
}

// overlap reports whether any sequence is in both.
func overlap(x, y []store.PrunedSegment) bool {
	bitmaps := map[int64]*store.Bitmap{}
	for i := range x {
		bitmaps[x[i].Segment] = &x[i].Bitmap
	}
	for i := range y {
		bitmap := bitmaps[y[i].Segment]
		if bitmap == nil {
			continue
		}
		for at, b := range y[i].Bitmap {
			if bitmap[at]&b != 0 {
				return true
			}
		}
	}
	return false
}

// text is what the log's key signs. Its first line is no log's origin, so it is
// no checkpoint.
func (p *pruning) text(origin string) string {
	return fmt.Sprintf("%s/pruned\n%s %s\n%d %d %d\n%x\n", origin, p.class, p.month.Format(monthLayout), p.count, p.first, p.last, p.digest)
}

// signPruning keeps who can write the database, but has no master key, from
// making the log drop, and verification accept, what they choose.
func (k *CheckpointKey) signPruning(p *pruning) ([]byte, error) {
	signed, err := note.Sign(&note.Note{Text: p.text(k.Origin())}, k.signer)
	if err != nil {
		return nil, fmt.Errorf("sign pruning: %w", err)
	}
	return signed, nil
}

func (p *pruning) metadata(signed []byte) map[string]any {
	return map[string]any{
		"class": string(p.class), "month": p.month.Format(monthLayout), "count": p.count, "first": p.first, "last": p.last,
		"digest": hex.EncodeToString(p.digest[:]), "note": string(signed),
	}
}

var errPruning = errors.New("the record of a pruning")

// parsePruning reads an event audit.pruned and checks that this log's key signed it.
func parsePruning(body []byte, verifier note.Verifier) (pruning, error) {
	var e struct {
		Metadata struct {
			Class, Month, Digest, Note string
			Count, First, Last         int64
		} `json:"metadata"`
	}
	if err := json.Unmarshal(body, &e); err != nil {
		return pruning{}, fmt.Errorf("%w: %w", errPruning, err)
	}
	m := &e.Metadata
	month, err := time.Parse(monthLayout, m.Month)
	if err != nil {
		return pruning{}, fmt.Errorf("%w: %w", errPruning, err)
	}
	p := pruning{class: store.Class(m.Class), month: month, count: m.Count, first: m.First, last: m.Last}
	if digest, err := hex.DecodeString(m.Digest); err != nil || copy(p.digest[:], digest) != len(digest) {
		return pruning{}, fmt.Errorf("%w: malformed digest", errPruning)
	}
	opened, err := note.Open([]byte(m.Note), note.VerifierList(verifier))
	if err != nil {
		return pruning{}, fmt.Errorf("%w: %w", errPruning, err)
	}
	if opened.Text != p.text(verifier.Name()) {
		return pruning{}, fmt.Errorf("%w: it says something else than what was signed", errPruning)
	}
	return p, nil
}
