package proxy

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/alloctest"
	"github.com/sentryagent/agentidp/shared/decision"
)

func TestStampsSayWhatTheClockSays(t *testing.T) {
	var s stamps
	noon := time.Date(2026, 3, 1, 12, 0, 0, 999_000, time.FixedZone("", 3600))
	for _, after := range []time.Duration{0, time.Microsecond / 2, time.Microsecond, time.Millisecond, -time.Hour, 0, 48 * time.Hour} {
		at := noon.Add(after)
		require.Equal(t, at.UTC().Format(decision.TimeLayout), s.of(at))
	}
	first, second := s.of(noon), s.of(noon.Add(time.Nanosecond))
	require.Equal(t, first, second)
	alloctest.Zero(t, func() { s.of(noon) })
}
