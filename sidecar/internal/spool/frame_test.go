package spool

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/decision"
)

// What a line is at a glance is what it says when it is read whole.
func TestASingleDecisionIsKnownAtAGlance(t *testing.T) {
	first := int64(3)
	for name, c := range map[string]struct {
		record    decision.Record
		glance    bool
		decisions int64
		losses    bool
	}{
		"a decision":              {decision.Record{DecisionID: "d", Outcome: decision.Allowed, Status: 200, DurationMs: 1.5}, true, 1, false},
		"nothing behind outcome":  {decision.Record{DecisionID: "d", Outcome: decision.Denied}, true, 1, false},
		"strings like members":    {decision.Record{DecisionID: "d", Outcome: decision.Denied, Reason: `x,"count":5`, Peer: `y,"count":6`}, true, 1, false},
		"without an id":           {decision.Record{Outcome: decision.Denied, Reason: "x"}, false, 1, false},
		"many":                    {decision.Record{DecisionID: "d", Outcome: decision.Denied, Count: 5}, false, 5, false},
		"one, counted":            {decision.Record{DecisionID: "d", Outcome: decision.Denied, Count: 1}, false, 1, false},
		"a gap":                   {decision.Record{Outcome: decision.Gap, Reason: decision.GapSpoolFull, Count: 7}, false, 7, true},
		"a gap of no decision":    {decision.Record{Outcome: decision.Gap, Reason: decision.GapSequenceConflict}, false, 0, true},
		"a gap of sequences lost": {decision.Record{Outcome: decision.Gap, Reason: decision.GapCorrupt, Count: 7, FirstSequence: &first}, false, 7, false},
	} {
		hash := decision.Hash([]byte("before"))
		line := appendTail(appendPrefix(nil, 9, []byte(hash)), &c.record, time.Unix(0, 0), clipAt)
		e, ok := parseEntry(line)
		require.True(t, ok, name)
		require.Equal(t, c.glance, single(line[len(`{"sequence":9,"prevHash":"`)+len(hash):]), name)
		require.Equal(t, c.decisions, e.decisions, name)
		require.Equal(t, c.losses, e.losses, name)
		require.Equal(t, hash, string(e.prevHash), name)
	}
}
