package faults

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// F11: the IdP is away for longer than the spool has room. By default requests
// are then refused; else they go on, and what is left out is counted. The count
// is the one that the log declares.
func TestF11SpoolFull(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"block", "drop_allow", "drop_oldest"} {
		t.Run(policy, func(t *testing.T) {
			p, a, l := newIdP(t), newAPI(t), &ledger{}
			token := p.reader()
			s := newSidecar(t, p, a.URL, "AGENTIDP_SIDECAR_SPOOL_WHEN_FULL="+policy, "AGENTIDP_SIDECAR_SPOOL_MAX_BYTES="+pick("262144", "4194304"))
			s.Start()
			p.Stop()
			begun := time.Now()
			load := start(l, 4, 0, at(s), mix(token))
			full := refusedWith("audit_unavailable")
			enough := pick(300, 20_000)
			var status int
			var health readiness
			awaitFor(t, 5*time.Minute, "the spool is full, for long", func() bool {
				status, health = s.look()
				if policy == "block" {
					// Full segments are packed meanwhile, which makes room now and then.
					return l.count(0, full) > enough && !health.Spool.OK
				}
				return health.Spool.Lost > int64(enough)
			})
			load.stop()
			p.Start()
			replay := s.shipped(patience)
			await(t, "it is served again", func() bool { d := newCaller(l).get(s.addr, "/notes/1", token); return served(&d) })
			f := figures{runs: 1, downtime: time.Since(begun)}
			s.shipped(patience)
			counted := int64(s.metric("sidecar_audit_lost_total"))
			if policy == "block" {
				// Its refusals, too, are decisions; past the reserve they are only counted.
				require.Equal(t, 503, status, health)
				require.Positive(t, l.count(0, full))
			} else {
				require.Equal(t, 200, status, health)
				require.Zero(t, l.count(0, full))
				require.Positive(t, counted)
			}
			failed := having(l.since(0), func(d *deed) bool { return d.told != answers || d.status >= 500 && !full(d) })
			refused := l.count(0, full)
			judged, events := verdict(p, l, a, s)
			f.add(judged)
			unrecorded := len(having(l.since(0), servedWithout(events)))
			report(t, "F11", f, "policy=%s failed=%d refused=%d decisions_lost_total=%d gap=%d missing=%d served_unrecorded=%d spool_bytes=%d replay_s=%.2f",
				policy, len(failed), refused, counted, f.gap, f.undone, unrecorded, health.Spool.Bytes, replay.Seconds())
			require.Empty(t, some(failed))
			require.Equal(t, counted, f.gap, "the counter says what the log says")
			require.Equal(t, f.undone, f.gap, "which is what is missing")
			if policy == "block" {
				require.Zero(t, unrecorded)
			}
		})
	}
}

// servedWithout are answers of the API that have no event.
func servedWithout(events []event) func(*deed) bool {
	recorded := make(map[string]bool, len(events))
	for i := range events {
		recorded[events[i].Metadata.DecisionID] = true
	}
	return func(d *deed) bool { return served(d) && !recorded[d.id] }
}
