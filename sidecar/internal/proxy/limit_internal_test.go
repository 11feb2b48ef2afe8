package proxy

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/alloctest"
	"github.com/sentryagent/agentidp/sidecar/internal/route"
)

// clock is a time that a test moves.
type clock struct{ now time.Time }

func (c *clock) read() time.Time { return c.now }

func limitOf(requests int, per time.Duration, id string) *route.Route {
	return &route.Route{ID: id, Methods: []string{"GET"}, Rate: route.Rate{Requests: requests, Per: per}}
}

func TestBucketsFillEvenly(t *testing.T) {
	c := &clock{now: time.Unix(1_785_000_000, 0)}
	l := newLimits(c.read)
	r := limitOf(10, time.Minute, "/a")
	for i := range 10 {
		v := l.agent("a", r)
		require.True(t, v.allowed, i)
		require.Equal(t, time.Duration(i+1)*6*time.Second, v.reset)
	}
	v := l.agent("a", r)
	require.Equal(t, verdict{wait: 6 * time.Second, reset: time.Minute}, v)
	require.True(t, l.agent("b", r).allowed, "another agent")
	require.True(t, l.agent("a", limitOf(10, time.Minute, "/b")).allowed, "another route")
	post := limitOf(10, time.Minute, "/a")
	post.Methods = []string{"POST"}
	require.True(t, l.agent("a", post).allowed, "another method's route")
	c.now = c.now.Add(6*time.Second - 1)
	require.Equal(t, time.Duration(1), l.agent("a", r).wait)
	c.now = c.now.Add(1)
	require.True(t, l.agent("a", r).allowed)
	require.False(t, l.agent("a", r).allowed)
	c.now = c.now.Add(24 * time.Hour)
	for range 10 {
		require.True(t, l.agent("a", r).allowed)
	}
	require.False(t, l.agent("a", r).allowed, "no more than one bucket is saved up")

	// A reload may narrow the limit; nobody waits longer than the new one says.
	require.LessOrEqual(t, l.agent("a", limitOf(1, time.Second, "/a")).wait, time.Second)
	c.now = c.now.Add(-time.Hour) // a clock set back
	require.LessOrEqual(t, l.agent("a", r).wait, time.Minute)
}

func TestAddressesAreFolded(t *testing.T) {
	l := newLimits(time.Now)
	r := limitOf(1, time.Hour, "/a")
	for _, fact := range []struct {
		address string
		allowed bool
	}{
		{"192.0.2.1", true}, {"192.0.2.1", false}, {"192.0.2.2", true},
		{"2001:db8::1", true}, {"2001:db8::2", false}, {"2001:db8:0:1::1", true},
	} {
		require.Equal(t, fact.allowed, l.stranger(prefixOf(netip.MustParseAddr(fact.address)), r).allowed, fact.address)
	}
	require.True(t, l.stranger(netip.Prefix{}, r).allowed)
	require.False(t, l.stranger(netip.Prefix{}, r).allowed)
}

// However many come, the tables stay bounded; strangers take no agent's place,
// and those who find none share one.
func TestTablesAreBounded(t *testing.T) {
	c := &clock{now: time.Unix(1_785_000_000, 0)}
	l := newLimits(c.read)
	r := limitOf(1, time.Hour, "/a")
	size := func(table *[limitShards]buckets) (n int) {
		for i := range table {
			n += len(table[i].full)
		}
		return n
	}
	allowed := 0
	for i := range 3 * limitShards * limitBuckets {
		address := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		if l.stranger(prefixOf(address), r).allowed {
			allowed++
		}
	}
	require.LessOrEqual(t, size(&l.strangers), limitShards*(limitBuckets+1))
	require.LessOrEqual(t, allowed, limitShards*(limitBuckets+1))
	require.Zero(t, size(&l.agents))
	require.True(t, l.agent("a", r).allowed)
	require.False(t, l.agent("a", r).allowed)

	c.now = c.now.Add(2 * time.Hour) // all are full again: their places are free
	for i := range 1000 {
		require.True(t, l.stranger(prefixOf(netip.MustParseAddr(fmt.Sprintf("192.0.%d.%d", i/250, i%250))), r).allowed)
	}
}

func TestCountingAllocatesNothing(t *testing.T) {
	l := newLimits(time.Now)
	r := limitOf(1_000_000, time.Second, "/a")
	from := netip.MustParsePrefix("2001:db8::/64")
	alloctest.Zero(t, func() { l.agent("client", r); l.stranger(from, r) })
}
