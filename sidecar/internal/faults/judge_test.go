package faults

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/decision"
)

// evidence is what is left of a trial.
type evidence struct {
	deeds   []deed
	events  []event  // decisions in the audit log, in its order
	reached []string // decisions whose requests reached the API
}

const streamStarted = "stream_started"

// judge holds what clients were answered against what the log says.
func judge(e *evidence) (f figures) {
	j := &judgement{ends: map[string][]*event{}, starts: map[string]int{}}
	j.sequences(e.events)
	unasked, anonymous := map[string]bool{}, int64(0)
	for i := range e.events {
		ev := &e.events[i]
		stands := max(ev.Metadata.Count, 1)
		switch {
		case ev.Action == "decision.gap":
			j.gap += ev.Metadata.Count
			if ev.Reason == decision.GapTornTail {
				j.torn += ev.Metadata.Count
			}
			continue
		case ev.Reason == streamStarted:
			j.starts[ev.Metadata.DecisionID]++
			continue
		case ev.AgentID == "":
			anonymous += stands
			j.folded += stands - 1
		}
		if ev.Metadata.Count == 0 {
			j.ends[ev.Metadata.DecisionID] = append(j.ends[ev.Metadata.DecisionID], ev)
			if ev.AgentID != "" {
				unasked[ev.Metadata.DecisionID] = true
			}
		}
	}
	for id, found := range j.ends {
		if len(found) > 1 {
			j.phantom = append(j.phantom, fmt.Sprintf("%s stands there %d times", id, len(found)))
		}
	}
	for i := range e.deeds {
		d := &e.deeds[i]
		if d.told != answers {
			j.cut++
			continue
		}
		j.acked++
		delete(unasked, d.id)
		j.held(d)
	}
	j.anonymous(anonymous)
	j.unanswered = int64(len(unasked))
	if n := j.unanswered; n > j.cut {
		j.phantom = append(j.phantom, fmt.Sprintf("%d decisions that nobody asked for, %d answers were cut", n, j.cut))
	}
	answered := map[string]bool{}
	for i := range e.deeds {
		answered[e.deeds[i].id] = e.deeds[i].told == answers
	}
	j.reached(e.reached, answered)
	j.settle()
	return j.figures
}

// judgement is under way.
type judgement struct {
	figures
	ends         map[string][]*event // by decision
	starts       map[string]int      // of streams
	missing      []string            // answered, and not in the log
	unrecorded   []string            // not answered, not in the log, and the API had the request
	cut          int64               // answers that did not come
	torn         int64               // records that were being written
	unattributed int64               // anonymous answers, which stand in counts
	unknown      int64               // gaps of which nobody knows how many they are
}

// sequences finds holes and repeats in what each sidecar numbered.
func (j *judgement) sequences(events []event) {
	next := map[string]int64{}
	for i := range events {
		m := &events[i].Metadata
		first := m.SidecarSequence
		if m.FirstSequence != nil {
			first = *m.FirstSequence
		}
		if events[i].Action == "decision.gap" && m.Count == 0 {
			j.unknown++
		}
		switch want := next[m.SidecarID]; {
		case first > want:
			j.lost = append(j.lost, fmt.Sprintf("sequences %d to %d of %s", want, first-1, m.SidecarID))
		case first < want:
			j.phantom = append(j.phantom, fmt.Sprintf("sequence %d of %s again", first, m.SidecarID))
		}
		next[m.SidecarID] = m.SidecarSequence + 1
	}
}

// held looks for the decision of an answer.
func (j *judgement) held(d *deed) {
	if d.reason != "" && d.detail != d.id {
		j.phantom = append(j.phantom, "head and body name different decisions: "+d.String())
	}
	found := j.ends[d.id]
	switch {
	case d.anonymous():
		j.unattributed++
		if len(found) == 0 {
			return // it stands in a count
		}
	case len(found) == 0:
		j.missing = append(j.missing, d.String())
		return
	}
	if m := &found[0].Metadata; m.Status != d.status || m.Path != d.path {
		j.phantom = append(j.phantom, fmt.Sprintf("%s stands there as %d %s", d, m.Status, m.Path))
	}
}

// anonymous decisions are counted, not told apart.
func (j *judgement) anonymous(recorded int64) {
	for range j.unattributed - recorded {
		j.missing = append(j.missing, "an anonymous decision")
	}
	if more := recorded - j.unattributed; more > j.cut {
		j.phantom = append(j.phantom, fmt.Sprintf("%d anonymous decisions more than were answered", more))
	}
}

// reached wants each request that the API saw to be in the log, or declared.
// One that the sidecar died with, before it answered, is counted apart.
func (j *judgement) reached(ids []string, answered map[string]bool) {
	for _, id := range ids {
		switch {
		case len(j.ends[id]) > 0 || j.starts[id] > 0:
		case !answered[id]:
			j.unrecorded = append(j.unrecorded, "the API had "+id)
		default:
			j.unaudited = append(j.unaudited, "the API had "+id)
		}
	}
}

// settle takes off what gap records declare: all that is missing, answered or
// not. More is declared only of answers that were cut: such requests may have
// been about to be sent, or have a record that was not paid for yet, or be told
// of as torn besides.
func (j *judgement) settle() {
	missing := int64(len(j.missing))
	j.inFlight = int64(len(j.unrecorded))
	j.undone = missing + j.inFlight
	if j.gap > missing+j.cut+j.torn {
		j.phantom = append(j.phantom, fmt.Sprintf("gaps declare %d, %d are missing and %d were cut", j.gap, missing, j.cut))
	}
	if j.inFlight > j.cut {
		j.phantom = append(j.phantom, fmt.Sprintf("the API had %d requests that nobody made, %d answers were cut", j.inFlight, j.cut))
	}
	if missing > j.gap {
		j.lost = append(j.lost, j.missing[:missing-j.gap]...)
	}
	if n := int64(len(j.unaudited)); n > 0 {
		j.unaudited = j.unaudited[min(n, j.gap):]
	}
	j.unaudited = append(j.unaudited, j.unrecorded[min(j.inFlight, max(j.gap-missing, 0)):]...)
}

// verdict stops the IdP and judges what happened so far. Sidecars have shipped
// what they had, or are told to.
func verdict(p *idp, l *ledger, a *api, sidecars ...*sidecar) (figures, []event) {
	p.T.Helper()
	for _, s := range sidecars {
		if s.Running() {
			s.shipped(10 * patience)
			s.Stop()                                      // its last counts become records
			if s.lastLog("stopped")["unshipped"] != 0.0 { // it has seconds for that, which the machine may take
				s.Start()
				s.shipped(10 * patience)
				s.Stop()
			}
			require.EqualValues(p.T, 0, s.lastLog("stopped")["unshipped"], s.LogTail())
		}
	}
	p.Stop()
	e := evidence{deeds: l.since(0), events: p.decisions()}
	if a != nil {
		e.reached = a.requests()
	}
	return judge(&e), e.events
}

// The judge must see every kind of offence; evidence that is right has none.
func TestJudge(t *testing.T) {
	sound := func() *evidence {
		made := func(sequence int64, id string, status int) (e event) {
			e.Action, e.AgentID = "decision.allowed", "a"
			e.Metadata.SidecarID, e.Metadata.SidecarSequence, e.Metadata.DecisionID, e.Metadata.Path, e.Metadata.Status = "s", sequence, id, "/", status
			return e
		}
		counted := made(2, "d3", 401)
		counted.AgentID, counted.Metadata.Count = "", 2
		return &evidence{
			deeds: []deed{
				{told: answers, id: "d0", path: "/", status: 200}, {told: answers, id: "d1", detail: "d1", path: "/", status: 403, reason: "capability_missing"},
				{told: answers, id: "d2", detail: "d2", path: "/", status: 401, reason: "signature"}, {told: answers, id: "dx", detail: "dx", path: "/", status: 401, reason: "signature"},
				{told: cut, path: "/"},
			},
			events: []event{made(0, "d0", 200), made(1, "d1", 403), counted}, reached: []string{"d0"},
		}
	}
	gap := func(e *evidence, count int64) {
		var g event
		g.Action, g.Metadata.SidecarID, g.Metadata.SidecarSequence, g.Metadata.Count = "decision.gap", "s", 3, count
		e.events = append(e.events, g)
	}
	again := func(e *evidence, i int) {
		twice := e.events[i]
		twice.Metadata.SidecarSequence = int64(len(e.events))
		e.events = append(e.events, twice)
	}
	for name, c := range map[string]struct {
		spoil                    func(e *evidence)
		lost, phantom, unaudited int
	}{
		"sound":              {func(*evidence) {}, 0, 0, 0},
		"not in the log":     {func(e *evidence) { e.deeds[0].id, e.reached = "d9", nil }, 1, 0, 0},
		"declared":           {func(e *evidence) { e.deeds[0].id, e.reached = "d9", nil; gap(e, 1) }, 0, 0, 0},
		"too much declared":  {func(e *evidence) { gap(e, 2) }, 0, 1, 0},
		"fewer counted":      {func(e *evidence) { e.events[2].Metadata.Count = 1 }, 1, 0, 0},
		"more counted":       {func(e *evidence) { e.events[2].Metadata.Count = 4 }, 0, 1, 0},
		"one more was cut":   {func(e *evidence) { e.events[2].Metadata.Count = 3 }, 0, 0, 0},
		"twice":              {func(e *evidence) { again(e, 0) }, 0, 1, 0},
		"otherwise":          {func(e *evidence) { e.events[0].Metadata.Status = 502 }, 0, 1, 0},
		"elsewhere":          {func(e *evidence) { e.events[0].Metadata.Path = "/x" }, 0, 1, 0},
		"two ids":            {func(e *evidence) { e.deeds[1].detail = "d0" }, 0, 1, 0},
		"a hole":             {func(e *evidence) { e.events[2].Metadata.SidecarSequence = 4 }, 1, 0, 0},
		"a sequence twice":   {func(e *evidence) { e.events[2].Metadata.SidecarSequence = 1 }, 0, 1, 0},
		"reached unrecorded": {func(e *evidence) { e.reached = append(e.reached, "d7") }, 0, 0, 1},
		"that declared":      {func(e *evidence) { e.reached = append(e.reached, "d7"); gap(e, 1) }, 0, 0, 0},
		"declared in vain":   {func(e *evidence) { gap(e, 1) }, 0, 0, 0}, // it may have been about to be sent
		"more than were cut": {func(e *evidence) { e.reached = append(e.reached, "d7", "d8"); gap(e, 2) }, 0, 2, 0},
		"one for two": {func(e *evidence) {
			e.deeds[0].id, e.reached = "d9", []string{"d7"}
			gap(e, 1)
		}, 0, 0, 1},
		"an answer was cut": {func(e *evidence) { again(e, 0); e.events[3].Metadata.DecisionID = "d8" }, 0, 0, 0},
		"nobody asked": {func(e *evidence) {
			again(e, 0)
			again(e, 1)
			e.events[3].Metadata.DecisionID, e.events[4].Metadata.DecisionID = "d8", "d9"
		}, 0, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			e := sound()
			c.spoil(e)
			f := judge(e)
			require.Equal(t, []int{c.lost, c.phantom, c.unaudited}, []int{len(f.lost), len(f.phantom), len(f.unaudited)}, "%+v", f)
			require.True(t, slices.IsSorted([]int{0, f.acked}))
		})
	}
}
