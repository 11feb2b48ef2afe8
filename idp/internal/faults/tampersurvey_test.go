package faults

import (
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// survey says where in a log what is, and makes edits that need to know.
type survey struct {
	live  []int64 // sequences of events that no pruning takes
	all   []int64 // and of those that wait for their drop
	holes []int64
	next  int64
}

func take(t *testing.T, db *sql.DB) survey {
	t.Helper()
	var s survey
	pruned := map[int64]bool{}
	each(t, db, "SELECT segment, bitmap FROM pruned_segments", func(scan func(...any)) {
		var segment int64
		var bitmap []byte
		scan(&segment, &bitmap)
		for bit := range int64(len(bitmap) * 8) {
			if bitmap[bit/8]>>(bit%8)&1 == 1 {
				pruned[segment*4096+bit] = true
			}
		}
	})
	each(t, db, "SELECT sequence FROM events ORDER BY sequence", func(scan func(...any)) {
		var sequence int64
		scan(&sequence)
		for ; s.next < sequence; s.next++ {
			require.True(t, pruned[s.next])
			s.holes = append(s.holes, s.next)
		}
		if s.next++; !pruned[sequence] {
			s.live = append(s.live, sequence)
		}
		s.all = append(s.all, sequence)
	})
	require.NotEmpty(t, s.holes)
	require.Less(t, len(s.live), len(s.all), "some wait for their drop")
	return s
}

// rows tells the events' states apart. meaning is what the backend keeps of one
// beside the columns that both have.
func rows(t *testing.T, db *sql.DB, meaning string) map[int64]string {
	t.Helper()
	found := map[int64]string{}
	each(t, db, "SELECT sequence, event_id || ' ' || agent_id || ' ' || timestamp || ' ' || retention || ' ' || "+meaning+", body FROM events ORDER BY sequence", func(scan func(...any)) {
		var sequence int64
		var columns string
		var body []byte
		scan(&sequence, &columns, &body)
		found[sequence] += columns + string(body) // two of one sequence: both
	})
	return found
}

// firstOther is the lowest sequence at which the edited state cannot be the whole
// one: an event that waits for its drop may be gone.
func (s *survey) firstOther(whole, edited map[int64]string) int64 {
	first := int64(math.MaxInt64)
	for sequence, row := range edited {
		if whole[sequence] != row {
			first = min(first, sequence, s.next) // past the end, the end is missing
		}
	}
	for _, sequence := range s.live {
		if edited[sequence] == "" {
			first = min(first, sequence)
		}
	}
	return first
}

func choose(r *rand.Rand, from []int64) int64 { return from[r.IntN(len(from))] }

func (s *survey) any(r *rand.Rand) int64 { return choose(r, s.all) }

func (s *survey) remove(r *rand.Rand, tx *sql.Tx) error {
	return touch(tx, "DELETE FROM events WHERE sequence = $1", choose(r, s.live))
}

// insert copies an event to one of the places.
func (s *survey) insert(query string, places []int64) edit {
	return func(r *rand.Rand, tx *sql.Tx) error { return touch(tx, query, choose(r, places), s.any(r)) }
}

func (s *survey) cut(r *rand.Rand, tx *sql.Tx) error {
	from := s.next - 1 - r.Int64N(s.next/4)
	if err := touch(tx, "DELETE FROM events WHERE sequence >= $1", from); err != nil || r.IntN(2) == 0 {
		return err
	}
	return touch(tx, "UPDATE tree_head SET size = $1", from)
}

// swap exchanges the places, or the bytes, of two events.
func (s *survey) swap(r *rand.Rand, tx *sql.Tx) error {
	x, y := s.any(r), s.any(r)
	if x == y {
		return nothing{}
	}
	if r.IntN(2) == 0 {
		var bodies [2][]byte
		for i, sequence := range []int64{x, y} {
			if err := tx.QueryRow("SELECT body FROM events WHERE sequence = $1", sequence).Scan(&bodies[i]); err != nil {
				return err
			}
		}
		if err := touch(tx, "UPDATE events SET body = $2 WHERE sequence = $1", x, bodies[1]); err != nil {
			return err
		}
		return touch(tx, "UPDATE events SET body = $2 WHERE sequence = $1", y, bodies[0])
	}
	for _, move := range [][2]int64{{x, 1 << 40}, {y, x}, {1 << 40, y}} {
		if err := touch(tx, "UPDATE events SET sequence = $2 WHERE sequence = $1", move[0], move[1]); err != nil {
			return err
		}
	}
	return nil
}

// forge stores a pruning that the log did not make; of an event that is then deleted, or of nothing.
func (s *survey) forge(remove bool) edit {
	return func(r *rand.Rand, tx *sql.Tx) error {
		sequence := s.any(r)
		if remove {
			sequence = choose(r, s.live)
			if err := touch(tx, "DELETE FROM events WHERE sequence = $1", sequence); err != nil {
				return err
			}
		}
		bitmap := make([]byte, 512)
		bitmap[sequence%4096/8] = 1 << (sequence % 8)
		digest := sha256.Sum256(slices.Concat(binary.BigEndian.AppendUint64(nil, uint64(sequence/4096)), bitmap))
		return touch(tx, "INSERT INTO pruned_segments (segment, pruning, bitmap) VALUES ($1, $2, $3)", sequence/4096, digest[:], bitmap)
	}
}

// other gives an event another of the column's values.
func other(column string, values ...string) edit {
	return func(r *rand.Rand, tx *sql.Tx) error {
		row, err := anyRow(r, tx, "SELECT sequence, "+column+" FROM events ORDER BY sequence", 2)
		if err != nil {
			return err
		}
		value := values[r.IntN(len(values))]
		if value == row[1] {
			return nothing{}
		}
		return touch(tx, "UPDATE events SET "+column+" = $2 WHERE sequence = $1", row[0], value)
	}
}

// later moves an event in time by up to a day.
func later(r *rand.Rand, tx *sql.Tx) error {
	row, err := anyRow(r, tx, "SELECT sequence FROM events ORDER BY sequence", 1)
	if err != nil {
		return err
	}
	return touch(tx, "UPDATE events SET timestamp = timestamp + $2 WHERE sequence = $1", row[0], 1+r.Int64N(86_400_000))
}

// narrow makes a segment's times hide an event of it. segment is how its number is told from a sequence.
func narrow(segment string) edit {
	return func(r *rand.Rand, tx *sql.Tx) error {
		row, err := anyRow(r, tx, "SELECT "+segment+", min(timestamp), max(timestamp) FROM events GROUP BY 1 ORDER BY 1", 3)
		if err != nil {
			return err
		}
		switch r.IntN(3) {
		case 0:
			return touch(tx, "UPDATE event_segments SET lowest = $2 WHERE segment = $1", row[0], row[1].(int64)+1)
		case 1:
			return touch(tx, "UPDATE event_segments SET highest = $2 WHERE segment = $1", row[0], row[2].(int64)-1)
		default:
			return touch(tx, "DELETE FROM event_segments WHERE segment = $1", row[0])
		}
	}
}
