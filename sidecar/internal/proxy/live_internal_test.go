package proxy

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/decision"
)

// starts is a recorder of no more than the records' reasons.
type starts struct {
	reasons []string
	owed    int64
}

func (s *starts) Owe(n int64)  { s.owed += n }
func (s *starts) Admit() error { return nil }
func (s *starts) Append(r *decision.Record) (int64, error) {
	s.reasons = append(s.reasons, r.Reason)
	return 0, nil
}

// The watch, which may be late, writes down no start after the end.
func TestStreamsThatEndedDoNotStart(t *testing.T) {
	kept := &starts{}
	p := &Proxy{Options: Options{Recorder: kept}}
	l := &live{probe: &exchange{known: true}}
	require.Nil(t, p.tellStart(l))
	l.over = true
	require.Nil(t, p.tellStart(l))
	require.Equal(t, []string{streamStarted}, kept.reasons)
}

// The record of the start pays what is owed then. What is sent later, to an
// upstream that was waited for, stands there already.
func TestStartsPay(t *testing.T) {
	for name, sentFirst := range map[string]bool{"sent, then started": true, "started, then sent": false} {
		kept := &starts{}
		p := &Proxy{Options: Options{Recorder: kept}}
		x := &exchange{proxy: p, live: &live{probe: &exchange{known: true}}}
		if sentFirst {
			x.owe()
			x.owe()
			require.EqualValues(t, 1, kept.owed, name)
		}
		require.Nil(t, p.tellStart(x.live))
		x.owe()
		require.Zero(t, kept.owed, name)
		p.settle(x)
		x.pay()
		require.Zero(t, kept.owed, name)
	}
}
