package syncer

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/alloctest"
	"github.com/sentryagent/agentidp/shared/feed"
	"github.com/sentryagent/agentidp/shared/token"
)

func newSet(now func() time.Time) *Revocations {
	return newRevocations(Options{Now: now, RevocationMaxStale: DefaultRevocationMaxStale, Metrics: metrics.NewSet()})
}

func claims() token.Claims {
	return token.Claims{Organization: "org", Subject: "agent", ClientID: "client", JTI: "jti", KID: "kid", Rev: [3]int64{3, 4, 5}}
}

func TestWhatIsRevoked(t *testing.T) {
	for _, fact := range []struct {
		entry  feed.Entry
		reason string
	}{
		{feed.Entry{Type: "organization", ID: "org", Epoch: 4}, "organization_revoked"},
		{feed.Entry{Type: "organization", ID: "org", Epoch: 3}, ""},
		{feed.Entry{Type: "organization", ID: "other", Epoch: 9}, ""},
		{feed.Entry{Type: "agent", ID: "agent", Epoch: 5}, "agent_revoked"},
		{feed.Entry{Type: "agent", ID: "agent", Epoch: 4}, ""},
		{feed.Entry{Type: "agent", ID: "client", Epoch: 9}, ""},
		{feed.Entry{Type: "credential", ID: "client", Epoch: 6}, "credential_revoked"},
		{feed.Entry{Type: "credential", ID: "client", Epoch: 5}, ""},
		{feed.Entry{Type: "kid", ID: "kid"}, "key_revoked"},
		{feed.Entry{Type: "kid", ID: "jti"}, ""},
		{feed.Entry{Type: "jti", ID: "jti", Exp: time.Now().Unix() + 60}, "token_revoked"},
		{feed.Entry{Type: "jti", ID: "kid", Exp: time.Now().Unix() + 60}, ""},
	} {
		r := newSet(time.Now)
		require.Zero(t, r.apply([]feed.Entry{fact.entry}, "e.1", time.Now()))
		c := claims()
		reason, dead := r.Revoked(&c)
		require.Equal(t, fact.reason, reason, "%+v", fact.entry)
		require.Equal(t, fact.reason != "", dead)
		require.Equal(t, uint64(1), r.Epoch())
	}
	r := newSet(time.Now)
	require.Equal(t, 2, r.apply([]feed.Entry{{Type: "moon", ID: "x"}, {Type: "jti"}}, "e.1", time.Now()), "unknown types and empty ids are told")
	require.Zero(t, r.Len())
}

// An entry with epoch E kills exactly the tokens whose rev member is below the
// highest E, in whatever order entries come.
func TestEpochsAnyOrder(t *testing.T) {
	for range 200 {
		r, highest := newSet(time.Now), int64(0)
		for range 1 + rand.IntN(6) {
			e := rand.Int64N(10)
			highest = max(highest, e)
			r.apply([]feed.Entry{{Type: feed.TypeAgent, ID: "agent", Epoch: e}}, "e.1", time.Now())
		}
		for rev := range int64(12) {
			c := claims()
			c.Rev[1] = rev
			_, dead := r.Revoked(&c)
			require.Equal(t, rev < highest, dead)
		}
	}
}

func TestStaleness(t *testing.T) {
	c := newClock()
	r := newSet(c.now)
	require.True(t, r.Stale(), "never heard of the feed")
	require.Negative(t, r.age())
	r.apply(nil, "e.0", c.now())
	require.False(t, r.Stale())
	require.Zero(t, r.Epoch(), "nothing happened")
	c.add(DefaultRevocationMaxStale)
	require.False(t, r.Stale())
	c.add(time.Second)
	require.True(t, r.Stale())
	r.apply(nil, "e.0", c.now())
	require.False(t, r.Stale())
}

func TestPruneForgetsOnlyDeadTokens(t *testing.T) {
	c := newClock()
	r := newSet(c.now)
	var entries []feed.Entry
	for i := range 2500 {
		entries = append(entries, feed.Entry{Type: feed.TypeJTI, ID: fmt.Sprint(i), Exp: c.now().Unix() + int64(i)})
	}
	entries = append(entries, feed.Entry{Type: feed.TypeAgent, ID: "a", Epoch: 1}, feed.Entry{Type: feed.TypeKID, ID: "k"})
	r.apply(entries, "e.1", c.now())
	require.Zero(t, r.prune())
	c.add(expirySlack + 1500*time.Second)
	require.Equal(t, 1500, r.prune())
	require.Equal(t, 1002, r.Len())
	c.add(time.Hour)
	r.prune()
	require.Equal(t, 2, r.Len())
}

// fill puts n entries of real identifiers into a set.
func fill(n int) *Revocations {
	r := newSet(time.Now)
	var entries []feed.Entry
	for i := range n {
		e := feed.Entry{Type: feed.TypeJTI, ID: uuid.NewString(), Exp: time.Now().Unix() + 3600}
		if i%10 == 0 {
			e = feed.Entry{Type: feed.TypeAgent, ID: uuid.NewString(), Epoch: 2}
		}
		entries = append(entries, e)
	}
	r.apply(entries, "e.1", time.Now())
	return r
}

func TestAHundredThousandEntriesFitInTenMegabytes(t *testing.T) {
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	r := fill(100_000)
	used := int64(heap() - before)
	t.Logf("100,000 entries: %.2f MB", float64(used)/1e6)
	require.Less(t, used, int64(10_000_000))
	require.Equal(t, 100_000, r.Len())

	c := claims()
	alloctest.Zero(t, func() { r.Revoked(&c) })
}

func BenchmarkRevoked(b *testing.B) {
	for _, n := range []int{0, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			r := fill(n)
			c := claims()
			c.Organization, c.Subject, c.JTI = uuid.NewString(), uuid.NewString(), uuid.NewString()
			c.ClientID, c.KID = "aidp_c_0123456789abcdefghijkl", "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
			b.ReportAllocs()
			for b.Loop() {
				if _, dead := r.Revoked(&c); dead {
					b.Fatal("revoked")
				}
			}
		})
	}
}
