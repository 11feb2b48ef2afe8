package vault

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestBreaker(t *testing.T) {
	now := time.Unix(1e9, 0)
	b := &breaker{now: func() time.Time { return now }}
	for range breakAfter - 1 {
		require.True(t, b.allow())
		require.False(t, b.failed())
	}
	require.True(t, b.allow())
	require.False(t, b.answered(), "it was not open")
	for i := range breakAfter {
		require.True(t, b.allow())
		require.Equal(t, i == breakAfter-1, b.failed())
	}
	require.True(t, b.open())
	require.False(t, b.allow())

	now = now.Add(breakFor)
	require.True(t, b.allow(), "one tries")
	require.False(t, b.allow(), "not two")
	b.unknown()
	require.True(t, b.allow(), "it left without an answer: the next tries")
	require.False(t, b.failed(), "it is open already")
	require.False(t, b.allow())

	now = now.Add(breakFor)
	require.True(t, b.allow())
	require.True(t, b.answered())
	require.False(t, b.open())
	require.True(t, b.allow())
}
