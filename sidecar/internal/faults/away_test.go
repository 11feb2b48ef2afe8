package faults

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// F10: the IdP is away. One sidecar may trust what it knows for an hour, and
// serves all good requests; the other only for the shortest time there is, and
// answers 503 past it. Both keep their decisions, and ship each once.
func TestF10IdPAway(t *testing.T) {
	t.Parallel()
	p, a, l, brief := newIdP(t), newAPI(t), &ledger{}, &ledger{}
	token := p.reader()
	stranger := forge(t, token, "kid-unheard-of")
	lasting := newSidecar(t, p, a.URL, "AGENTIDP_SIDECAR_REVOCATION_MAX_STALE=1h")
	bounded := newSidecar(t, p, a.URL, "AGENTIDP_SIDECAR_REVOCATION_MAX_STALE=10s")
	lasting.Start()
	bounded.Start()
	asks := func(n int) (string, string) {
		if n%10 == 3 {
			return "/notes/0", stranger
		}
		return mix(token)(n)
	}
	loads := []*load{start(l, 2, 4*time.Millisecond, at(lasting), asks), start(brief, 2, 10*time.Millisecond, at(bounded), mix(token))}
	flowing(t, l, 100)
	begun := time.Now()
	p.Stop()
	stale := refusedWith("revocations_stale")
	within := brief.size()
	awaitFor(t, time.Minute, "what is bounded is refused", func() bool { return brief.count(within, stale) > 0 })
	bound := time.Since(begun)
	time.Sleep(pick(time.Second, time.Minute)) // the fault goes on
	away := time.Since(begun)
	status, health := lasting.look()
	require.Equal(t, 200, status)
	require.NotEmpty(t, health.Revocations.Error, "health says that revocations pause")
	require.Greater(t, health.Revocations.AgeSeconds, (away - 10*time.Second).Seconds(), "and since when")
	require.Positive(t, health.Spool.Unshipped)
	status, late := bounded.look()
	require.Equal(t, 503, status)
	require.False(t, late.Revocations.OK)
	bytes := health.Spool.Bytes

	p.Start()
	back := time.Now()
	replay := lasting.caughtUp(patience)
	bounded.caughtUp(patience)
	past := brief.size()
	await(t, "what was refused is served again", func() bool { return brief.count(past, served) > 0 })
	recovery := time.Since(back)
	for _, load := range loads {
		load.stop()
	}
	deeds := l.since(0)
	failed := having(deeds, func(d *deed) bool { return d.told != answers || d.status >= 500 })
	strangers := having(deeds, except("/notes/0", func(d *deed) bool { return served(d) || d.reason == "unknown_key" }))
	other := having(brief.since(0), func(d *deed) bool { return d.told != answers || d.status >= 500 && !stale(d) })
	for i := range brief.deeds {
		l.add(&brief.deeds[i])
	}
	f, _ := verdict(p, l, a, lasting, bounded)
	f.runs, f.downtime = 2, away
	report(t, "F10", f, "failed=%d wrong_unknown_kid=%d stale_503=%d other_503=%d bound_s=%.1f spool_bytes=%d unshipped=%d replay_s=%.2f recovery_s=%.2f",
		len(failed), len(strangers), brief.count(0, stale), len(other), bound.Seconds(), bytes, health.Spool.Unshipped, replay.Seconds(), recovery.Seconds())
	require.Empty(t, some(failed))
	require.Empty(t, some(strangers))
	require.Empty(t, some(other))
}

// The IdP is down for ten minutes under 2,000 requests a second (in short: for
// a while, at a rate that leaves room for other tests). Nothing is lost.
func TestOutage(t *testing.T) {
	t.Parallel()
	p, a, l := newIdP(t), newAPI(t), &ledger{}
	token := p.reader()
	s := newSidecar(t, p, a.URL)
	s.Start()
	load := start(l, pick(4, 20), 10*time.Millisecond, at(s), mix(token))
	flowing(t, l, 100)
	p.Stop()
	begun, before := time.Now(), l.size()
	time.Sleep(pick(20*time.Second, 10*time.Minute)) // the fault itself
	away := time.Since(begun)
	rate := float64(l.size()-before) / away.Seconds()
	_, health := s.look()
	p.Start()
	back := time.Now()
	flowing(t, l, 100)
	load.stop()
	s.shipped(20 * time.Minute)
	replay := time.Since(back)
	failed := having(l.since(0), func(d *deed) bool { return d.told != answers || d.status >= 500 })
	f, _ := verdict(p, l, a, s)
	f.runs, f.downtime = 1, away
	report(t, "outage", f, "failed=%d rps=%.0f unshipped=%d spool_bytes=%d replay_s=%.1f", len(failed), rate, health.Spool.Unshipped, health.Spool.Bytes, replay.Seconds())
	require.Empty(t, some(failed))
	require.GreaterOrEqual(t, health.Spool.Unshipped, int64(rate*away.Seconds()*0.99))
}
