package proxy

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/decision"
)

// starts is a recorder of no more than the records' reasons.
type starts struct{ reasons []string }

func (s *starts) Owe(int64)    {}
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
