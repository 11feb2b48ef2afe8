package spool

import (
	"encoding/binary"
	"io"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/decision"
)

// told is long, so that the pipe does not hold many of them: the child is not far ahead.
const told = 512

// appendUntilKilled is the child of TestKill: it appends as fast as it can and
// tells each sequence that Append returned. Its working folder is the spool.
func appendUntilKilled() {
	s, err := Open(".", Options{MaxBytes: 64 << 20, BootID: "boot-1"})
	if err != nil {
		panic(err)
	}
	var out [told]byte
	for i := 0; ; i++ {
		sequence, err := s.Append(allowed(i))
		if err != nil {
			panic(err)
		}
		binary.LittleEndian.PutUint64(out[:], uint64(sequence))
		if _, err := os.Stdout.Write(out[:]); err != nil {
			os.Exit(1)
		}
	}
}

// A killed process loses nothing that Append returned, and nothing twice.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	last := int64(-1)
	for round := range 5 {
		child := exec.Command(os.Args[0], "-test.run=^$")
		child.Env, child.Dir = append(os.Environ(), "SPOOL_CHILD=1"), dir
		out, err := child.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, child.Start())
		var sequence [told]byte
		for until := last + 300 + int64(170*round); ; {
			if _, err := io.ReadFull(out, sequence[:]); err != nil {
				break
			}
			got := int64(binary.LittleEndian.Uint64(sequence[:]))
			require.Greater(t, got, last, "a sequence twice")
			if last = got; last == until {
				require.NoError(t, child.Process.Kill())
			}
		}
		require.Error(t, child.Wait(), "killed")
	}
	require.Greater(t, last, int64(1000))

	s := open(t, dir, func(o *Options) { o.MaxBytes = 64 << 20 })
	records := drain(t, s)
	require.GreaterOrEqual(t, records[len(records)-1].Sequence, last)
	for _, g := range gaps(records) {
		require.Equal(t, decision.GapTornTail, g.Reason, "only an Append that never returned may be torn")
		require.Equal(t, int64(1), g.Count)
	}
	require.Len(t, records, int(records[len(records)-1].Sequence)+1)
	t.Logf("%d records, %d torn", len(records), len(gaps(records)))
}

// abandon leaves the folder as a killed process does: nothing is closed in order.
// last runs when nothing else runs any more.
func abandon(t *testing.T, s *Spool, last ...func()) {
	t.Helper()
	close(s.stop)
	s.done.Wait()
	require.NoError(t, s.flush())
	s.mu.Lock()
	for _, f := range last {
		f()
	}
	s.closed = true
	s.mu.Unlock()
	require.NoError(t, s.release())
	require.NoError(t, s.lock.Close())
}

func TestUncleanEndOnTheSameBootDeclaresNothing(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	appendN(t, s, 10)
	abandon(t, s)
	records := drain(t, open(t, dir))
	require.Len(t, records, 10)
	require.Empty(t, gaps(records))
}

func TestPowerLossIsDeclared(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	appendN(t, s, 10)
	abandon(t, s)
	s = open(t, dir, func(o *Options) { o.BootID = "boot-2" })
	appendN(t, s, 1)
	records := drain(t, s)
	require.Len(t, records, 12)
	g := records[10]
	require.Equal(t, decision.Gap, g.Outcome)
	require.Equal(t, decision.GapPowerLoss, g.Reason)
	require.Zero(t, g.Count, "nobody knows")
	require.Nil(t, g.FirstSequence)
	require.NoError(t, s.Close())
	records = drain(t, open(t, dir, func(o *Options) { o.BootID = "boot-3" }))
	require.Empty(t, records, "declared once; a clean end needs no gap")
}

// What the saved state knows was given out, but no file holds, is declared.
func TestLostFileIsDeclared(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	appendN(t, s, 10)
	require.NoError(t, s.Close())
	for _, path := range files(t, dir, rawSuffix) {
		require.NoError(t, os.Remove(path))
	}
	s = open(t, dir)
	appendN(t, s, 1)
	records := drain(t, s)
	require.Len(t, records, 2)
	require.Equal(t, int64(0), *records[0].FirstSequence)
	require.Equal(t, int64(9), records[0].Sequence)
	require.Equal(t, int64(10), records[0].Count)
	require.Equal(t, decision.GapTornTail, records[0].Reason)
	require.Equal(t, int64(10), records[1].Sequence)
}

func TestDamagedStateShipsAgainAndSaysSo(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	appendN(t, s, 10)
	require.NoError(t, s.Ack(4))
	require.NoError(t, s.Close())
	path := dir + "/" + stateName
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	content[20] ^= 1
	require.NoError(t, os.WriteFile(path, content, 0o600))
	records := drain(t, open(t, dir))
	require.Len(t, records, 11)
	require.Zero(t, records[0].Sequence, "nobody knows what was acknowledged: from the start")
	require.Equal(t, decision.GapPowerLoss, records[10].Reason)
}

// A fault under the mapping breaks the spool, not the process.
func TestFaultOnTheMapping(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	appendN(t, s, 1)
	require.NoError(t, os.Truncate(files(t, dir, rawSuffix)[0], 0))
	var err error
	eventually(t, "the pages are gone", func() bool {
		_, err = s.Append(allowed(1))
		return err != nil
	})
	require.ErrorIs(t, err, ErrBroken)
	require.ErrorIs(t, s.Err(), ErrBroken)
	require.ErrorIs(t, s.Admit(), ErrBroken)
	<-s.Broken()
	require.ErrorIs(t, s.Close(), ErrBroken)
}
