package spool

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/decision"
)

func TestRewindWithinWhatIsKept(t *testing.T) {
	s := open(t, t.TempDir())
	appendN(t, s, 10)
	require.Len(t, drain(t, s), 10)
	require.NoError(t, s.Rewind(4))
	records := drain(t, s)
	require.Len(t, records, 6)
	require.Equal(t, int64(4), records[0].Sequence)
	require.Empty(t, gaps(records))
	require.Error(t, s.Rewind(-1))
	require.Error(t, s.Ack(maxSequence+1))
}

func TestRewindPastWhatIsKept(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	for range 4 {
		appendN(t, s, 1000)
		drain(t, s)
	}
	require.NoError(t, s.Rewind(7))
	check := func(s *Spool) {
		records := drain(t, s)
		g := records[0]
		require.Equal(t, decision.GapNotRetained, g.Reason)
		require.Equal(t, int64(7), *g.FirstSequence)
		require.Equal(t, g.Sequence-7+1, g.Count)
		require.Empty(t, g.PrevHash)
		require.Len(t, gaps(records), 1)
		require.Equal(t, int64(3999), records[len(records)-1].Sequence)
		require.Len(t, records, int(4000-g.Sequence))
	}
	b, err := s.Next(1, 1)
	require.NoError(t, err)
	require.Equal(t, int64(7), b.First)
	abandon(t, s)
	check(open(t, dir))
}

// The IdP holds more than this folder gave out: an old copy of the folder runs.
func TestAckAboveWhatWasGivenOut(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	appendN(t, s, 10)
	require.NoError(t, s.Ack(8))
	require.NoError(t, s.Ack(5000))
	sequence, err := s.Append(allowed(1))
	require.NoError(t, err)
	require.Equal(t, int64(5001), sequence)
	records := drain(t, s)
	require.Len(t, records, 2)
	g := records[0]
	require.Equal(t, int64(5000), g.Sequence)
	require.Equal(t, decision.GapSequenceConflict, g.Reason)
	require.Equal(t, int64(2), g.Count)
	require.Empty(t, g.PrevHash, "the chain begins anew")
	require.NoError(t, s.Close())
	s = open(t, dir)
	require.Equal(t, int64(5002), s.Status().Next)
	require.Empty(t, drain(t, s))
}
