package faults

import (
	"net/http"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/command/commandtest"
)

// drain is time enough for a balancer that the machine holds up to see it.
const drain = "AGENTIDP_SIDECAR_DRAIN_DELAY=4s"

// rotation follows /ready as whoever balances load does: who says no gets
// nothing new, what is under way goes on.
type rotation struct {
	sidecars []*sidecar
	up       []atomic.Bool
	refused  []atomic.Int64 // how often one said no
	ended    atomic.Bool
	turn     atomic.Int64
	done     chan struct{}
}

func balance(sidecars ...*sidecar) *rotation {
	r := &rotation{sidecars: sidecars, up: make([]atomic.Bool, len(sidecars)), refused: make([]atomic.Int64, len(sidecars)), done: make(chan struct{})}
	go func() {
		defer close(r.done)
		for !r.ended.Load() {
			for i, s := range sidecars {
				switch status, _ := commandtest.Ask(s.ReadyAt); status { // no answer in time says nothing
				case http.StatusOK:
					r.up[i].Store(true)
				case http.StatusServiceUnavailable:
					r.up[i].Store(false)
					r.refused[i].Add(1)
				}
			}
			time.Sleep(pause)
		}
	}()
	return r
}

// next is an address in rotation; "": there is none.
func (r *rotation) next() string {
	turn := int(r.turn.Add(1))
	for i := range r.sidecars {
		if at := (turn + i) % len(r.sidecars); r.up[at].Load() {
			return r.sidecars[at].addr
		}
	}
	return ""
}

func (r *rotation) stop() {
	r.ended.Store(true)
	<-r.done
}

// lasting mixes in requests that are still under way when the port closes.
func lasting(token string) asking {
	return func(n int) (string, string) {
		if n%30 == 3 {
			return "/wait/4400", token
		}
		return mix(token)(n)
	}
}

// F23: SIGTERM under load. /ready says so first, requests under way are
// answered, the spool is shipped, the status is 0.
func TestF23Terminated(t *testing.T) {
	t.Parallel()
	p, a, l := newIdP(t), newAPI(t), &ledger{}
	token := p.reader()
	s := newSidecar(t, p, a.URL, drain).everywhere()
	var f figures
	unannounced, unshipped := 0, 0.0
	for range pick(3, 20) {
		s.Start()
		r := balance(s)
		load := start(l, 6, time.Millisecond, r.next, lasting(token))
		flowing(t, l, 150)
		before := r.refused[0].Load()
		begun := time.Now()
		s.Signal(syscall.SIGTERM)
		require.Zero(t, s.Wait(), s.LogTail())
		f.downtime = max(f.downtime, time.Since(begun))
		if r.refused[0].Load() == before {
			unannounced++
		}
		load.stop()
		r.stop()
		left, _ := s.lastLog("stopped")["unshipped"].(float64)
		unshipped += left
		f.runs++
	}
	cuts, failed := having(l.since(0), wasCut), having(l.since(0), func(d *deed) bool { return d.status >= 500 })
	waited := l.count(0, func(d *deed) bool { return d.path == "/wait/4400" })
	judged, _ := verdict(p, l, a)
	f.add(judged)
	report(t, "F23", f, "cut=%d failed=%d unannounced=%d unshipped=%.0f long=%d", len(cuts), len(failed), unannounced, unshipped, waited)
	require.Empty(t, some(cuts))
	require.Empty(t, some(failed))
	require.Zero(t, unannounced)
	require.Zero(t, unshipped)
}

// Two sidecars are restarted in turn under load that retries nothing.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	p, a, l := newIdP(t), newAPI(t), &ledger{}
	token := p.reader()
	pair := []*sidecar{newSidecar(t, p, a.URL, drain).everywhere(), newSidecar(t, p, a.URL, drain).everywhere()}
	for _, s := range pair {
		s.Start()
	}
	r := balance(pair...)
	await(t, "both serve", func() bool { return r.up[0].Load() && r.up[1].Load() })
	load := start(l, 6, time.Millisecond, r.next, lasting(token))
	var f figures
	for range pick(1, 10) {
		for i, s := range pair {
			await(t, "both serve", func() bool { return r.up[0].Load() && r.up[1].Load() })
			flowing(t, l, 100)
			s.Stop()
			require.False(t, r.up[i].Load())
			flowing(t, l, 50) // by the other one
			s.Start()
			f.runs++
		}
	}
	load.stop()
	r.stop()
	deeds := l.since(0)
	cuts, failed := having(deeds, wasCut), having(deeds, func(d *deed) bool { return d.status >= 500 })
	unserved := load.unserved.Load()
	judged, _ := verdict(p, l, a, pair...)
	f.add(judged)
	report(t, "rolling", f, "cut=%d failed=%d unserved=%d gap=%d", len(cuts), len(failed), unserved, f.gap)
	require.Empty(t, some(cuts))
	require.Empty(t, some(failed))
	require.Zero(t, unserved, "one of them always serves")
}
