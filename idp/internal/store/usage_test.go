package store

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestUsageRank(t *testing.T) {
	for tokens, want := range map[int64]int64{0: 0, 1: 1, 63: 63, 64: 64, 65: 64, 66: 65, 127: 95, 128: 96, 131: 96, 132: 97, math.MaxInt64: 57*32 + 63} {
		require.Equal(t, want, UsageRank(tokens), tokens)
	}
	for tokens := int64(1); tokens < 100_000; tokens++ {
		require.GreaterOrEqual(t, UsageRank(tokens), UsageRank(tokens-1), tokens)
		require.Greater(t, UsageRank(tokens+tokens/32+1), UsageRank(tokens), "a thirty-second more is another rank")
	}
}

func TestTarget(t *testing.T) {
	for body, want := range map[string]string{
		`{}`: "", `{"metadata":{"targetAgentId":"other"}}`: "other", `{"metadata":{"targetAgentId":"agent"}}`: "",
		`{"metadata":{"targetAgentId":"cut`: "", `{"metadata":{"path":"\"targetAgentId\":\"other\""}}`: "", `{"metadata":{"targetAgentId":["other"]}}`: "",
	} {
		require.Equal(t, want, (&EventRow{AgentID: "agent", Body: []byte(body)}).Target(), body)
	}
}
