package spool

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/alloctest"
	"github.com/sentryagent/agentidp/shared/decision"
)

func TestWhatIsOwedAtTheEndIsDeclared(t *testing.T) {
	for name, c := range map[string]struct {
		owe  []int64
		end  func(t *testing.T, s *Spool)
		boot string
		want []decision.Record
	}{
		"killed":       {[]int64{5, -2}, func(t *testing.T, s *Spool) { abandon(t, s) }, "boot-1", []decision.Record{{Reason: decision.GapUnwritten, Count: 3}}},
		"closed":       {[]int64{1, 1}, func(t *testing.T, s *Spool) { require.NoError(t, s.Close()) }, "boot-1", []decision.Record{{Reason: decision.GapUnwritten, Count: 2}}},
		"written down": {[]int64{5, -5}, func(t *testing.T, s *Spool) { abandon(t, s) }, "boot-1", nil},
		"below zero":   {[]int64{-1}, func(t *testing.T, s *Spool) { abandon(t, s) }, "boot-1", []decision.Record{{Reason: decision.GapUnwritten}}},
		"damaged":      {[]int64{maxOwed + 1}, func(t *testing.T, s *Spool) { abandon(t, s) }, "boot-1", []decision.Record{{Reason: decision.GapUnwritten}}},
		// Then the number may be an old one, and the gap says so already.
		"power cut": {[]int64{5}, func(t *testing.T, s *Spool) { abandon(t, s) }, "boot-2", []decision.Record{{Reason: decision.GapPowerLoss}}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir)
			appendN(t, s, 3)
			for _, n := range c.owe {
				s.Owe(n)
			}
			c.end(t, s)
			for _, declared := range [][]decision.Record{c.want, nil} { // once
				s = open(t, dir, func(o *Options) { o.BootID = c.boot })
				records := drain(t, s)
				found := gaps(records)
				require.Len(t, found, len(declared))
				for i, want := range declared {
					require.Equal(t, want.Reason, found[i].Reason)
					require.Equal(t, want.Count, found[i].Count)
					require.EqualValues(t, want.Count, s.Status().Lost)
				}
				require.NoError(t, s.Ack(s.Status().Next))
				require.NoError(t, s.Close())
			}
		})
	}
}

// Without room for the gap record the loss waits with the others.
func TestWhatIsOwedWaitsForRoom(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	for i := 0; ; i++ {
		if _, err := s.Append(allowed(i)); err != nil {
			require.ErrorIs(t, err, ErrFull)
			break
		}
	}
	s.Owe(7)
	abandon(t, s)
	s = open(t, dir)
	require.EqualValues(t, 7, s.Status().Lost, "the one of Append is noted, and not counted twice")
	declared := int64(0)
	for range 2 { // the second time with room
		records := drain(t, s)
		for _, g := range gaps(records) {
			declared += g.Count
		}
		require.NoError(t, s.Ack(s.Status().Next))
		require.NoError(t, s.Close())
		s = open(t, dir)
	}
	require.EqualValues(t, 8, declared)
}

func TestOwedFile(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, owedName), []byte("cut"), 0o600))
	s := open(t, dir)
	require.Empty(t, gaps(drain(t, s)), "a file that was not finished says nothing")
	require.NoError(t, s.Close())
	s.Owe(1) // too late, and no harm
	require.NoError(t, os.Remove(filepath.Join(dir, owedName)))
	require.NoError(t, os.Mkdir(filepath.Join(dir, owedName), 0o700))
	_, err := Open(dir, Options{})
	require.Error(t, err)
}

// A broken spool keeps nothing that could pay, so nothing is forgiven: what was
// under way when it broke is declared by the next process.
func TestABrokenSpoolForgivesNothing(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	s.Owe(3)
	s.Owe(-1)
	s.fail(errors.New("no disk"))
	s.Owe(-1)
	s.Owe(2)
	require.ErrorIs(t, s.Close(), ErrBroken)
	found := gaps(drain(t, open(t, dir)))
	require.Len(t, found, 1)
	require.EqualValues(t, 4, found[0].Count)
}

func TestOwingAllocatesNothing(t *testing.T) {
	s := open(t, t.TempDir())
	alloctest.Zero(t, func() {
		s.Owe(1)
		s.Owe(-1)
	})
}
