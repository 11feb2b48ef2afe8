package faults

import (
	"testing"
	"time"
)

// F12: kill -9 of the sidecar under load. Whatever was answered, or reached the
// API, is in the log once, or a gap record says how much is not. It says no more
// than that and the answers that were cut.
func TestF12Killed(t *testing.T) {
	t.Parallel()
	p, a, l := newIdP(t), newAPI(t), &ledger{}
	token := p.reader()
	s := newSidecar(t, p, a.URL)
	s.Start()
	good, bad := start(l, 3, 0, at(s), mix(token)), start(l, 1, 0, at(s), forged(t, token))
	var f figures
	for range pick(3, 20) {
		before := l.size()
		await(t, "the load is served", func() bool { return l.size() > before+300 })
		begun := time.Now()
		s.Kill()
		s.Start()
		f.downtime = max(f.downtime, time.Since(begun))
		f.runs++
	}
	good.stop()
	bad.stop()
	judged, _ := verdict(p, l, a, s)
	f.add(judged)
	report(t, "F12", f, "cut=%d recorded=%d in_flight=%d missing=%d declared=%d folded=%d", l.count(0, wasCut), f.unanswered, f.inFlight, f.undone, f.gap, f.folded)
}
