package inside

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/bench/load"
	"github.com/sentryagent/agentidp/bench/result"
)

const short = 50 * time.Millisecond

func TestLimitsAreMeasured(t *testing.T) {
	for _, pureGo := range []bool{false, true} {
		signer := "auto"
		if pureGo {
			signer = "go"
		}
		signed, err := Sign(t.Context(), signer, short)
		require.NoError(t, err)
		require.Positive(t, signed.Sample[result.PerSecond])
		verified, err := Verify(t.Context(), pureGo, short)
		require.NoError(t, err)
		require.Positive(t, verified.Sample[result.PerSecond])
		latency, err := load.Decode(verified.Histogram)
		require.NoError(t, err)
		require.InDelta(t, verified.Sample[result.Requests], latency.TotalCount(), 0)
		if pureGo {
			require.Equal(t, "crypto/rsa", signed.Backend)
			require.Equal(t, "crypto/rsa", verified.Backend)
		}
	}
}

func TestAppendsAreCountedByTheStore(t *testing.T) {
	folder := t.TempDir()
	m, err := Append(t.Context(), "", folder, 8, short)
	require.NoError(t, err)
	require.Positive(t, m.Sample[result.Requests])
	require.NotEmpty(t, m.Histogram)
	_, err = Append(t.Context(), "postgres://127.0.0.1:1/none?connect_timeout=1", "", 1, short)
	require.Error(t, err)
}
