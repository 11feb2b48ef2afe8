package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/bench/result"
)

func TestFlags(t *testing.T) {
	s, err := parse([]string{"-subscribers", "5,7", "-agents", "", "-stores", "sqlite", "-goal-linger", "10"}, io.Discard)
	require.NoError(t, err)
	require.Equal(t, []int{5, 7}, s.Subscribers)
	require.Empty(t, s.Agents)
	require.Equal(t, []int{100, 1000, 4000}, s.Connections)
	require.InDelta(t, 10, s.goal.Linger, 0)
	for _, args := range [][]string{
		{"-subscribers", "0"}, {"-subscribers", "x"}, {"-stores", "oracle"}, {"-connections", "5000"}, {"-rounds", "0"}, {"-events", "0"}, {"-goal-busy", "0"},
		{"-goal-busy", "2"}, {"-goal-regions", "0"}, {"something"},
	} {
		_, err := parse(args, io.Discard)
		require.Error(t, err, args)
	}
}

// A run of only a part has its rows, its file, and no plan.
func TestAPartOfARun(t *testing.T) {
	file := filepath.Join(t.TempDir(), "scale.json")
	var out bytes.Buffer
	none := []string{"-connections", "", "-batches", "", "-logs", "", "-callers", "", "-agents", "", "-stores", "sqlite", "-rounds", "1"}
	require.NoError(t, run(t.Context(), append(none, "-subscribers", "3", "-json", file), &out, io.Discard))
	require.Contains(t, out.String(), "scale-feed/sqlite/subscribers=3")
	require.NotContains(t, out.String(), "| needed |")
	content, err := os.Open(file)
	require.NoError(t, err)
	read, err := result.Read(content)
	require.NoError(t, err)
	require.NoError(t, content.Close())
	require.Len(t, read.Rows, 1)

	out.Reset()
	require.NoError(t, run(t.Context(), []string{"-from", file + "," + file}, &out, io.Discard))
	require.Equal(t, 2, bytes.Count(out.Bytes(), []byte("scale-feed/sqlite/subscribers=3")))
	require.Error(t, run(t.Context(), []string{"-from", file + ".none"}, &out, io.Discard))
}
