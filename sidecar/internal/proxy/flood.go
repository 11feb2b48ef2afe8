package proxy

import (
	"net/netip"
	"sync"
	"time"

	"github.com/sentryagent/agentidp/shared/decision"
)

const (
	floodWindow  = 10 * time.Second
	floodSingles = 20    // records of one kind in a window
	floodKinds   = 4_096 // kinds that are told apart
	floodAll     = 1_000 // records of their own in a window, of all kinds
)

// kind is what anonymous decisions are counted by.
type kind struct {
	from       netip.Prefix // zero: many
	route      string
	capability string
	outcome    decision.Outcome
	reason     string
	status     int
}

// tally of one kind in the window.
type tally struct {
	singles int
	more    int64 // decisions that stand only in the count
}

// flood keeps anonymous decisions from filling the recorder: the first of a
// kind are records of their own, up to a bound for all kinds; the rest of the
// window is one record with a count for each kind. When the recorder takes nothing, all are counted until it does.
type flood struct {
	recorder Recorder
	now      func() time.Time
	newID    func() string

	mu      sync.Mutex
	tallies map[kind]*tally // guarded by mu
	singles int             // of all kinds in the window; guarded by mu
}

func newFlood(o *Options) *flood {
	return &flood{recorder: o.Recorder, now: o.Now, newID: o.NewID, tallies: map[kind]*tally{}}
}

// add keeps r, or counts it; single reports which.
func (f *flood) add(r *decision.Record, from netip.Prefix) (single bool) {
	k := kind{from: from, route: r.RouteID, capability: r.Capability, outcome: r.Outcome, reason: r.Reason, status: r.Status}
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.tally(k)
	if t.singles < floodSingles && f.singles < floodAll && f.recorder.Admit() == nil {
		if _, err := f.recorder.Append(r); err == nil {
			t.singles++
			f.singles++
			return true
		}
	}
	t.more++
	f.recorder.Owe(1)
	return false
}

// tally finds the kind's, or that of many addresses when there are too many. mu is held.
func (f *flood) tally(k kind) *tally {
	if t := f.tallies[k]; t != nil {
		return t
	}
	if len(f.tallies) >= floodKinds {
		k = kind{outcome: k.outcome, reason: k.reason, status: k.status}
	}
	if f.tallies[k] == nil {
		f.tallies[k] = &tally{}
	}
	return f.tallies[k]
}

// roll ends the window: what was only counted becomes records. What the
// recorder does not take stays counted, and its kinds get no singles until it does.
func (f *flood) roll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.singles = 0
	for k, t := range f.tallies {
		if t.more > 0 && !f.sum(k, t.more) {
			t.singles = floodSingles
			continue
		}
		f.recorder.Owe(-t.more)
		delete(f.tallies, k)
	}
}

func (f *flood) sum(k kind, count int64) bool {
	peer := ""
	if k.from.IsValid() {
		peer = k.from.String()
	}
	if f.recorder.Admit() != nil {
		return false
	}
	_, err := f.recorder.Append(&decision.Record{
		DecisionID: f.newID(), Time: f.now().UTC().Format(decision.TimeLayout), Peer: peer, RouteID: k.route, Capability: k.capability,
		Outcome: k.outcome, Reason: k.reason, Status: k.status, Count: count,
	})
	return err == nil
}
