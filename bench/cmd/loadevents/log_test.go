package main

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/tlog"
)

var now = time.Date(2026, time.July, 1, 0, 0, 0, 0, time.UTC)

func TestEventsMakeATreeThatProves(t *testing.T) {
	l := newLog(1000, 10, 3, now)
	var stored []tlog.Hash
	var bodies [][]byte
	for range 1000 {
		e, err := l.make()
		require.NoError(t, err)
		stored, bodies = append(stored, e.hashes...), append(bodies, e.body)
	}
	require.Len(t, stored, int(tlog.StoredHashCount(1000)))
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		found := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			found[i] = stored[index]
		}
		return found, nil
	})
	root, err := tlog.TreeHash(1000, reader)
	require.NoError(t, err)
	for i, body := range bodies {
		proof, err := tlog.ProveRecord(1000, int64(i), reader)
		require.NoError(t, err)
		require.NoError(t, tlog.CheckRecord(proof, 1000, root, int64(i), tlog.RecordHash(body)))
	}
}

func TestEventsAreSkewedAndInOrder(t *testing.T) {
	l, again := newLog(20_000, 100, 3, now), newLog(20_000, 100, 3, now)
	organizations, actions := map[int]int{}, map[string]int{}
	last := int64(0)
	for i := range int64(20_000) {
		e, err := l.make()
		require.NoError(t, err)
		same, err := again.make()
		require.NoError(t, err)
		require.Equal(t, same, e)
		require.Equal(t, i, e.sequence)
		require.GreaterOrEqual(t, e.timestamp, last)
		last = e.timestamp
		organizations[e.organization]++
		actions[verbs[e.verb].action]++
		var body map[string]any
		require.NoError(t, json.Unmarshal(e.body, &body))
		require.Equal(t, e.agentID, body["agentId"])
		require.Equal(t, l.organizations[e.organization], body["organizationId"])
		require.Equal(t, verbs[e.verb].action, body["action"])
	}
	require.Less(t, last, now.UnixMilli())
	require.Greater(t, organizations[0], 10*organizations[50])
	require.Greater(t, actions["token.issued"], 10_000)
	require.Greater(t, actions["token.issued"], 1000*actions["policy.reloaded"])
}

func TestOneTargetIsDemanded(t *testing.T) {
	require.ErrorIs(t, run(context.Background(), "", "", nil), errTarget)
	require.ErrorIs(t, run(context.Background(), "a", "b", nil), errTarget)
}
