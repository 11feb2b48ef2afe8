package volatiletest

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/volatile"
)

func has(t *testing.T, r Replica, key, value string) {
	t.Helper()
	got, ok := r.Get(t.Context(), key)
	require.True(t, ok)
	require.Equal(t, value, string(got))
}

func lacks(t *testing.T, r Replica, key string) {
	t.Helper()
	got, ok := r.Get(t.Context(), key)
	require.False(t, ok)
	require.Empty(t, got)
}

var cacheFacts = []fact{
	{"keeps what was set, for every replica", func(t *testing.T, first, last Replica) {
		for _, key := range []string{"a", "", "https://example.com/jwks?a=b", "{a}", "ä\x00\n", strings.Repeat("k", 5000)} {
			lacks(t, first, key)
			for _, value := range []string{"one", "", "\x00\xff\r\n", strings.Repeat("x", volatile.MaxValue)} {
				first.Set(t.Context(), key, []byte(value), time.Hour)
				has(t, first, key, value)
				has(t, last, key, value)
			}
		}
	}},
	{"deletes for every replica", func(t *testing.T, first, last Replica) {
		first.Set(t.Context(), "a", []byte("one"), time.Hour)
		has(t, last, "a", "one")
		last.Delete(t.Context(), "a")
		last.Delete(t.Context(), "never was")
		lacks(t, first, "a")
		lacks(t, last, "a")
	}},
	{"expires", func(t *testing.T, first, last Replica) {
		first.Set(t.Context(), "a", []byte("one"), 100*time.Millisecond)
		require.Eventually(t, func() bool { _, ok := last.Get(t.Context(), "a"); return !ok }, patience, 10*time.Millisecond)
		lacks(t, first, "a")
	}},
	{"what it cannot keep is deleted", func(t *testing.T, first, last Replica) {
		for _, fact := range []struct {
			size int
			ttl  time.Duration
		}{{1, 0}, {1, -time.Second}, {volatile.MaxValue + 1, time.Hour}} {
			first.Set(t.Context(), "a", []byte("one"), time.Hour)
			last.Set(t.Context(), "a", bytes.Repeat([]byte("x"), fact.size), fact.ttl)
			lacks(t, first, "a")
			lacks(t, last, "a")
		}
	}},
	{"values are copies", func(t *testing.T, first, last Replica) {
		value := []byte("one")
		first.Set(t.Context(), "a", value, time.Hour)
		value[0] = 'X'
		got, _ := first.Get(t.Context(), "a")
		got[1] = 'X'
		has(t, first, "a", "one")
		has(t, last, "a", "one")
	}},
}
