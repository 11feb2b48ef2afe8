package scenario

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/bench/result"
)

func TestWhatOthersHadOfTheCores(t *testing.T) {
	began := spending{at: time.Unix(0, 0), own: time.Second, busy: 10 * time.Second, of: 2}
	ended := func(own, busy time.Duration) result.Sample {
		sample := result.Sample{}
		spending{at: time.Unix(1, 0), own: time.Second + own, busy: busy, of: 2}.foreign(began, sample)
		return sample
	}
	require.InDelta(t, 0.25, ended(time.Second, 11500*time.Millisecond)[result.Foreign], 1e-9)
	require.Zero(t, ended(time.Second, 10990*time.Millisecond)[result.Foreign], "ticks are coarse")
	require.Empty(t, ended(0, 0), "the system does not tell")
}
