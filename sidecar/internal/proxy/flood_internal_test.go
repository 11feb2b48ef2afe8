package proxy

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/decision"
)

type memory struct {
	records []decision.Record
	owed    int64
	full    bool
}

func (m *memory) Admit() error {
	if m.full {
		return errors.New("full")
	}
	return nil
}

func (m *memory) Owe(n int64) { m.owed += n }

func (m *memory) Append(r *decision.Record) (int64, error) {
	m.records = append(m.records, *r)
	return 0, nil
}

func TestFlood(t *testing.T) {
	m := &memory{}
	f := newFlood(&Options{Recorder: m, Now: time.Now, NewID: newID})
	from := netip.MustParsePrefix("192.0.2.1/32")
	add := func(n int, reason string, from netip.Prefix) (singles int) {
		for range n {
			if f.add(&decision.Record{Outcome: decision.Denied, Reason: reason, Status: 401, Peer: "192.0.2.1"}, from) {
				singles++
			}
		}
		return singles
	}
	counts := func() (n int64) {
		for _, r := range m.records {
			n += max(r.Count, 1)
		}
		return n
	}
	require.Equal(t, floodSingles, add(50, "a", from))
	require.Equal(t, floodSingles, add(50, "b", from), "each reason for itself")
	require.Equal(t, floodSingles, add(50, "a", netip.MustParsePrefix("2001:db8::/64")), "and each network")
	require.Equal(t, int64(150-3*floodSingles), m.owed, "what a kill would lose")
	f.roll()
	require.Zero(t, m.owed)
	require.Len(t, m.records, 3*floodSingles+3)
	require.Equal(t, int64(150), counts())
	require.Empty(t, f.tallies)
	require.Equal(t, 5, add(5, "a", from), "a new window")
	f.roll()
	require.Equal(t, int64(155), counts())

	// A full recorder gets nothing, loses nothing, and gets the sum when it is not.
	m.full = true
	require.Zero(t, add(30, "a", from))
	f.roll()
	require.Zero(t, add(10, "a", from))
	require.Equal(t, int64(155), counts())
	require.Equal(t, int64(40), m.owed)
	m.full = false
	require.Zero(t, add(1, "a", from), "still in the old count")
	f.roll()
	require.Equal(t, int64(196), counts())

	// Too many networks share a count.
	m.records = nil
	for i := range floodKinds + 100 {
		address := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
		add(1, "c", netip.PrefixFrom(address, 32))
	}
	require.LessOrEqual(t, len(f.tallies), floodKinds+1)
	require.Len(t, m.records, floodAll, "all kinds together have a bound")
	f.roll()
	require.Equal(t, int64(floodKinds+100), counts())
	require.Empty(t, m.records[len(m.records)-1].Host)
	require.Equal(t, 1, add(1, "c", from), "a new window")
}
