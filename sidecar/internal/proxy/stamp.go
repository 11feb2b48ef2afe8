package proxy

import (
	"sync/atomic"
	"time"

	"github.com/sentryagent/agentidp/shared/decision"
)

// stamps are the times of records. They count milliseconds, and a busy proxy
// has many requests in one.
type stamps struct{ latest atomic.Pointer[stamp] }

type stamp struct {
	milli int64 // Unix
	text  string
}

// of is the time as records have it.
func (s *stamps) of(t time.Time) string {
	milli := t.UnixMilli()
	if known := s.latest.Load(); known != nil && known.milli == milli {
		return known.text
	}
	made := &stamp{milli, t.UTC().Format(decision.TimeLayout)}
	s.latest.Store(made)
	return made.text
}
