package spool

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/decision"
)

// fill appends until the spool refuses or drops and answers how many it kept.
func fill(t *testing.T, s *Spool, r *decision.Record) (kept int64) {
	t.Helper()
	for range 200_000 {
		sequence, err := s.Append(r)
		if err != nil {
			require.ErrorIs(t, err, ErrFull)
			return kept
		}
		if sequence == Dropped {
			return kept
		}
		kept++
	}
	t.Fatal("never full")
	return 0
}

// smallest fills with a quarter of the records.
func smallest(o *Options) { o.MaxBytes = MinMaxBytes }

// fillUp appends until nothing is left to pack that would give room again, and
// answers how many were kept and how many were refused or dropped.
func fillUp(t *testing.T, s *Spool, r *decision.Record) (kept, lost int64) {
	t.Helper()
	for rested := false; ; {
		more := fill(t, s, r)
		kept += more
		lost++
		if rested && more == 0 {
			return kept, lost
		}
		eventually(t, "nothing left to pack", func() bool { c, _ := s.packable(); return c == nil })
		rested = true
	}
}

func TestBlock(t *testing.T) {
	s := open(t, t.TempDir(), smallest)
	require.NoError(t, s.Admit())
	var kept int64
	for s.Admit() == nil {
		_, err := s.Append(allowed(0))
		require.NoError(t, err, "what was admitted finds room")
		kept++
	}
	for range 50 { // requests under way when it became full
		_, err := s.Append(allowed(0))
		require.NoError(t, err)
		kept++
	}
	more, refused := fillUp(t, s, denied(0))
	kept += more
	require.ErrorIs(t, s.Admit(), ErrFull)
	require.True(t, s.Status().Full)
	for range 9 {
		_, err := s.Append(denied(0))
		require.ErrorIs(t, err, ErrFull)
		refused++
	}
	require.LessOrEqual(t, s.Status().Bytes, int64(MinMaxBytes))

	var records []decision.Record
	for len(records) < int(kept)/2 {
		b, err := s.Next(200, 1<<20)
		require.NoError(t, err)
		for line := range bytes.Lines(b.Lines) {
			r, err := decision.Parse(bytes.TrimSuffix(line, []byte("\n")))
			require.NoError(t, err)
			records = append(records, r)
		}
		require.NoError(t, s.Ack(b.Next))
	}
	eventually(t, "room again", func() bool { return s.Admit() == nil })
	sequence, err := s.Append(denied(1))
	require.NoError(t, err)
	records = append(records, drain(t, s)...)
	require.Equal(t, sequence, records[len(records)-1].Sequence)
	for _, gap := range gaps(records) {
		require.Equal(t, decision.GapSpoolFull, gap.Reason)
		require.Nil(t, gap.FirstSequence)
	}
	have, lost := decisions(records)
	require.Equal(t, kept+1, have)
	require.Equal(t, refused, lost, "every refused decision is declared")
	require.Equal(t, uint64(refused), s.Status().Lost)
}

func TestLossesSurviveAKill(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	appendN(t, s, 3)
	abandon(t, s, func() {
		for range 5 {
			s.lose()
		}
	})

	s = open(t, dir)
	abandon(t, s) // twice: they are still pending

	s = open(t, dir)
	eventually(t, "declared without a further decision", func() bool { return s.Status().Next == 4 })
	batch, err := s.Next(1000, 256<<10) // whether an acknowledgement outlives a kill is a matter of time
	require.NoError(t, err)
	require.Equal(t, 4, batch.Records)
	abandon(t, s)
	all := drain(t, open(t, dir))
	require.Len(t, all, 4, "declared once, and nothing was acknowledged")
	records := gaps(all)
	require.Len(t, records, 1)
	require.Equal(t, int64(5), records[0].Count)
	require.Equal(t, decision.GapSpoolFull, records[0].Reason)
}

// A spool without room for one more record starts after a power cut, too.
func TestFullSpoolSurvivesAPowerCut(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, smallest)
	fillUp(t, s, allowed(0))
	abandon(t, s, func() {
		for err := error(nil); err == nil; { // nobody packs any more
			err = s.writeGap(decision.GapUnwritten, 1)
		}
	})
	s = open(t, dir, smallest, func(o *Options) { o.BootID = "boot-2" })
	require.Equal(t, uint64(1), s.Status().Lost)
	var all []decision.Record
	eventually(t, "declared", func() bool {
		all = append(all, drain(t, s)...)
		return slices.ContainsFunc(gaps(all), func(r decision.Record) bool { return r.Reason == decision.GapSpoolFull && r.Count == 1 })
	})
}

func TestCloseDeclaresLosses(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	s.mu.Lock()
	s.lose()
	s.mu.Unlock()
	require.NoError(t, s.Close())
	records := drain(t, open(t, dir))
	require.Len(t, records, 1)
	require.Equal(t, int64(1), records[0].Count)
}

func TestDropAllow(t *testing.T) {
	s := open(t, t.TempDir(), func(o *Options) { o.Policy = DropAllow })
	kept := fill(t, s, allowed(0))
	dropped := int64(1)
	require.NoError(t, s.Admit(), "this policy refuses no request")
	for range 300 {
		// Segments are packed meanwhile: there may be room for an allowed one again.
		sequence, err := s.Append(allowed(0))
		require.NoError(t, err)
		if sequence == Dropped {
			dropped++
		} else {
			kept++
		}
		_, err = s.Append(denied(0))
		require.NoError(t, err, "refusals are kept")
		kept++
	}
	records := drain(t, s)
	_, err := s.Append(denied(0))
	require.NoError(t, err)
	records = append(records, drain(t, s)...)
	have, lost := decisions(records)
	require.Equal(t, kept+1, have)
	require.Equal(t, dropped, lost)
	require.LessOrEqual(t, int64(len(gaps(records))), dropped, "a gap stands for a run of losses")
	require.Equal(t, uint64(dropped), s.Status().Lost)
}

func TestDropOldest(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, smallest, func(o *Options) { o.Policy = DropOldest })
	b, err := s.Next(1, 1)
	require.NoError(t, err)
	require.Zero(t, b.Records)
	appendN(t, s, 20)
	b, err = s.Next(10, 1<<20) // under way: its segment must stay
	require.NoError(t, err)
	require.Equal(t, 10, b.Records)
	const n = 10_000
	appendN(t, s, n-20)
	require.LessOrEqual(t, s.Status().Bytes, int64(MinMaxBytes))
	require.NoError(t, s.Ack(b.Next))
	records := drain(t, s)
	kept, lost := decisions(records)
	require.Equal(t, int64(n-10), kept+lost)
	require.Equal(t, uint64(lost), s.Status().Lost)
	found := gaps(records)
	require.Len(t, found, 1, "neighbouring losses are one gap")
	require.Equal(t, lost, found[0].Sequence-*found[0].FirstSequence+1)
}

// A gap that was handed out stays as it is; a later loss is a gap of its own;
// both survive a restart.
func TestShippedGapIsFrozen(t *testing.T) {
	dir := t.TempDir()
	grow := func(s *Spool) {
		lost := s.Status().Lost
		for s.Status().Lost == lost {
			appendN(t, s, 100)
		}
	}
	s := open(t, dir, func(o *Options) { o.Policy = DropOldest })
	grow(s)
	b, err := s.Next(1, 1<<20)
	require.NoError(t, err)
	r, err := decision.Parse(b.Lines[:len(b.Lines)-1])
	require.NoError(t, err)
	require.Equal(t, decision.Gap, r.Outcome)
	first := string(b.Lines)
	grow(s)
	b, err = s.Next(1, 1<<20)
	require.NoError(t, err)
	require.Equal(t, first, string(b.Lines))
	next := s.Status().Next
	abandon(t, s)

	s = open(t, dir, func(o *Options) { o.Policy = DropOldest })
	b, err = s.Next(1, 1<<20)
	require.NoError(t, err)
	require.Equal(t, first, string(b.Lines), "the same after a restart")
	records := drain(t, s)
	require.Len(t, gaps(records), 2)
	kept, lost := decisions(records)
	require.Equal(t, next, kept+lost)
}

func TestLocalRotatesQuietly(t *testing.T) {
	dir := t.TempDir()
	local := func(o *Options) { smallest(o); o.Policy = DropOldest; o.Local = true }
	s := open(t, dir, local)
	appendN(t, s, 10_000)
	require.LessOrEqual(t, s.Status().Bytes, int64(MinMaxBytes))
	require.Zero(t, s.Status().Lost)
	eventually(t, "packed", func() bool { return len(files(t, dir, packedSuffix)) > 0 })
	require.NoError(t, s.Close())
	s = open(t, dir, local)
	require.Equal(t, int64(10_000), s.Status().Next)
	require.Empty(t, gaps(drain(t, s)))
}

// A disk without room is a full spool, and recovers by itself.
func TestNoSpace(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	s.kick()
	// A folder under the name stands for the missing space: the file cannot be
	// made. The spare one is made again in the background until the folder is there.
	eventually(t, "no room for a segment", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.spare != nil {
			require.NoError(t, s.spare.discard())
			s.spare = nil
		}
		return os.Mkdir(filepath.Join(dir, spareName), 0o700) == nil
	})
	require.NoError(t, os.Mkdir(filepath.Join(dir, nextName), 0o700))
	kept := fill(t, s, allowed(0))
	require.Positive(t, kept)
	require.ErrorIs(t, s.Admit(), ErrFull)
	for _, name := range []string{spareName, nextName} {
		require.NoError(t, os.Remove(filepath.Join(dir, name)))
	}
	eventually(t, "room again", func() bool { return s.Admit() == nil })
	eventually(t, "the loss is declared", func() bool { return s.Status().Next == kept+1 })
	records := drain(t, s)
	have, lost := decisions(records)
	require.Equal(t, kept, have)
	require.Equal(t, int64(1), lost)
}

func TestConcurrentAppendAndShip(t *testing.T) {
	s := open(t, t.TempDir())
	const writers, each = 8, 1000
	var group sync.WaitGroup
	var refused atomic.Int64
	for range writers {
		group.Go(func() {
			for i := range each {
				for {
					if s.Admit() == nil {
						if _, err := s.Append(allowed(i)); err != nil {
							refused.Add(1)
						}
						break
					}
					runtime.Gosched() // to who makes room
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { group.Wait(); close(done) }()
	var records []decision.Record
	for running := true; running; {
		select {
		case <-done:
			running = false
		case <-s.Ready():
		}
		records = append(records, drain(t, s)...)
	}
	kept, lost := decisions(records)
	require.Equal(t, int64(writers*each), kept+lost)
	require.Equal(t, refused.Load(), lost)
}
