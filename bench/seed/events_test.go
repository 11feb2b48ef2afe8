package seed

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/tlog"
)

var now = time.Date(2026, time.July, 1, 0, 0, 0, 0, time.UTC)

func made(t *testing.T, e Events) []event {
	t.Helper()
	g, err := newGrove(0, nil)
	require.NoError(t, err)
	m := newMaker(e, g)
	events := make([]event, e.Count)
	for i := range events {
		events[i], err = m.next()
		require.NoError(t, err)
	}
	return events
}

func TestEventsMakeATreeThatProves(t *testing.T) {
	events := made(t, Events{Count: 1000, Organizations: 10, First: now.AddDate(0, -3, 0), Last: now})
	var stored []tlog.Hash
	for _, e := range events {
		for _, hash := range e.hashes {
			stored = append(stored, hash)
		}
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
	for i, e := range events {
		proof, err := tlog.ProveRecord(1000, int64(i), reader)
		require.NoError(t, err)
		require.NoError(t, tlog.CheckRecord(proof, 1000, root, int64(i), tlog.RecordHash(e.body)))
	}
	g, err := newGrove(777, reader)
	require.NoError(t, err)
	for _, e := range events[777:] {
		hashes, err := g.grow(e.body)
		require.NoError(t, err)
		require.Equal(t, e.hashes, hashes, "a tree that was there goes on as if it had never stopped")
	}
}

func TestEventsAreSkewedAndInOrder(t *testing.T) {
	of := Events{Count: 20_000, Organizations: 100, First: now.AddDate(0, -3, 0), Last: now}
	events := made(t, of)
	require.Equal(t, events, made(t, of))
	organizations, actions := map[string]int{}, map[string]int{}
	last := int64(0)
	for i, e := range events {
		require.Equal(t, int64(i), e.sequence)
		require.GreaterOrEqual(t, e.timestamp, last)
		last = e.timestamp
		organizations[e.organization.id]++
		actions[e.action]++
		var body map[string]any
		require.NoError(t, json.Unmarshal(e.body, &body))
		require.Equal(t, e.agentID, body["agentId"])
		require.Equal(t, e.organization.id, body["organizationId"])
		require.Equal(t, e.action, body["action"])
	}
	require.Less(t, last, now.UnixMilli())
	require.Greater(t, organizations[OrganizationAt(0)], 10*organizations[OrganizationAt(50)])
	require.Greater(t, actions["token.issued"], 10_000)
	require.Greater(t, actions["token.issued"], 1000*actions["policy.reloaded"])
}

func TestDeedsNameTargetsOfTheirOrganization(t *testing.T) {
	named := map[string]int{}
	for _, e := range made(t, Events{Count: 50_000, Organizations: 1, First: now.AddDate(0, -3, 0), Last: now}) {
		var body struct {
			Metadata struct {
				TargetAgentID string `json:"targetAgentId"`
			} `json:"metadata"`
		}
		require.NoError(t, json.Unmarshal(e.body, &body))
		require.Equal(t, e.targetID, body.Metadata.TargetAgentID)
		require.Equal(t, deeds[e.action], e.targetID != "", e.action)
		if e.targetID != "" {
			require.Equal(t, e.organization.id[:8], e.targetID[:8])
			named[e.targetID]++
		}
	}
	busiest, second := named[AgentAt(0, 0)], named[AgentAt(0, 1)]
	require.Greater(t, busiest, 500) // of ten million 100,000
	require.Greater(t, second, 60)
	require.Greater(t, busiest, 3*second)
	require.Greater(t, len(named), 100)
}

func TestHashesAreCutWhereChunksEnd(t *testing.T) {
	events := made(t, Events{Count: 100, Organizations: 1, First: now, Last: now.Add(time.Hour)})
	var joined []byte
	runs := append(cut(events[:37], 32), cut(events[37:], 32)...)
	for _, r := range runs {
		require.Equal(t, int64(len(joined)/32), 32*r.chunk+r.place)
		require.LessOrEqual(t, int(r.place)+len(r.hashes)/32, 32)
		joined = append(joined, r.hashes...)
	}
	require.Len(t, joined, 32*int(tlog.StoredHashCount(100)))
}

func TestClientsHaveTheFormOfTheProduct(t *testing.T) {
	clients := Clients(3)
	require.Equal(t, clients[2], ClientAt(2))
	require.NotEqual(t, clients[0], clients[1])
	require.Regexp(t, `^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`, clients[0].AgentID)
	require.Regexp(t, `^aidp_c_[0-9A-Za-z]{22}$`, clients[0].ClientID)
	require.Regexp(t, `^aidp_sk_[0-9A-Za-z]{49}$`, clients[0].ClientSecret)
}
