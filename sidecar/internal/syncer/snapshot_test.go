package syncer

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/decision"
	"github.com/sentryagent/agentidp/shared/feed"
)

// Reading entry by entry answers what reading as a whole would.
func FuzzSnapshot(f *testing.F) {
	whole, err := json.Marshal(feed.Snapshot{
		Issuer: "i", IssuedAt: 1, Epoch: "e", Cursor: "e.1", Entries: []feed.Entry{{Type: feed.TypeAgent, ID: "a", Epoch: 3}, {Type: "moon", ID: "m"}},
	})
	require.NoError(f, err)
	f.Add(whole)
	f.Add([]byte(`{"entries":[],"x":{"entries":[1]}}`))
	f.Add([]byte(`{"entries":[{"type":"jti","id":"a","exp":1},{"type":"jti","id":"a","exp":2}]} `))
	f.Fuzz(func(t *testing.T, payload []byte) {
		head, entries, unknown, err := readSnapshot(payload)
		if err != nil {
			return
		}
		var want feed.Snapshot
		if json.Unmarshal(payload, &want) != nil {
			return // something behind the object, or a member that only differs in case
		}
		if head.Cursor != want.Cursor || head.Issuer != want.Issuer {
			return // encoding/json takes any case, and we do not
		}
		expected, others := newRevoked(), 0
		for i := range want.Entries {
			if !expected.add(&want.Entries[i]) {
				others++
			}
		}
		if bytes.Count(bytes.ToLower(payload), []byte("entries")) == 1 {
			require.Equal(t, expected, entries)
			require.Equal(t, others, unknown)
		}
	})
}

var benchRecord = decision.Record{
	DecisionID: "0b1c2d3e-4f50-4a6b-8c7d-9e0f1a2b3c4d", AgentID: "018f2f6e-7c1e-7c0a-b1de-9f1f0c0ffee0", OrganizationID: "018f2f6e-7c1e-7c0a-b1de-9f1f0c0ffee1",
	ClientID: "aidp_c_0123456789abcdefghijkl", JTI: "018f2f6e-7c1e-7c0a-b1de-9f1f0c0ffee2", Method: "GET", Host: "notes.example.com", Path: "/notes/17",
	RouteID: "GET /notes/{id}", Capability: "notes:read", Outcome: decision.Allowed, Reason: "capability", Status: 200, PolicyRevision: "4f1c2d",
	RequestID: "0b1c2d3e4f", Peer: "10.1.2.3", BytesOut: 4096, DurationMs: 1.25,
}

// BenchmarkZip is what shipping costs besides sending: per record.
func BenchmarkZip(b *testing.B) {
	sp := newSpool(b, b.TempDir())
	for range 5000 {
		_, err := sp.Append(&benchRecord)
		require.NoError(b, err)
	}
	batch, err := sp.Next(5000, 4<<20)
	require.NoError(b, err)
	zip, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	require.NoError(b, err)
	var out bytes.Buffer
	for b.Loop() {
		out.Reset()
		zip.Reset(&out)
		_, err := zip.Write(batch.Lines)
		require.NoError(b, err)
		require.NoError(b, zip.Close())
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batch.Records), "ns/record")
	b.ReportMetric(float64(out.Len())/float64(len(batch.Lines)), "ratio")
}
