package auditlog

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/shared/decision"
)

// A decision's event has the bytes that Encode gives it.
func TestDecisionsAreEncodedAsAnyEvent(t *testing.T) {
	stream := Stream{SidecarID: "8b9f7f0e-2c1e-4a53-9a53-64f3f0d6e001", AgentID: `sidecar "agent"`, OrganizationID: "acme\n"}
	now := time.Date(2026, 7, 1, 12, 0, 0, 5_000_000, time.UTC)
	random := rand.New(rand.NewPCG(1, 2))
	records := make(batch, 300)
	for i := range records {
		records[i] = line{record: anyRecord(random, int64(i)), hash: decision.Hash([]byte{byte(i)}), size: random.IntN(300)}
	}
	entries, err := records.entries(stream, now)
	require.NoError(t, err)
	require.Len(t, entries, len(records))
	for i, made := range entries {
		want := eventOf(records[i], stream)
		want.ID, want.Timestamp, want.Sequence = made.row.ID, now, int64(i)
		body, err := Encode(&want)
		require.NoError(t, err)
		require.Equal(t, string(body), string(made.leaf.under(int64(i))))
		require.Equal(t, []any{want.OrganizationID, want.AgentID, want.Action, want.Outcome, now},
			[]any{made.row.OrganizationID, made.row.AgentID, made.row.Action, made.row.Outcome, made.row.Timestamp})
		require.True(t, i == 0 || entries[i-1].row.ID < made.row.ID, "ids ascend")
	}
}

func TestADecisionMustFitIntoAnEntry(t *testing.T) {
	l := line{record: decision.Record{Time: "2026-03-01T10:00:00.123Z", Outcome: decision.Allowed, Host: strings.Repeat("\x01", 11_000)}}
	_, err := batch{l}.entries(Stream{OrganizationID: "acme"}, time.Now())
	require.ErrorIs(t, err, errEncode)
}

// anyRecord has each member or not.
func anyRecord(random *rand.Rand, sequence int64) decision.Record {
	text := func(plain string) string {
		return []string{"", plain, plain + "\"\\\u2028é\x7f\t", "\x00" + plain}[random.IntN(4)]
	}
	number := func() int64 { return []int64{0, 1, 200, 1 << 60}[random.IntN(4)] }
	r := decision.Record{
		Sequence: sequence, Time: "2026-03-01T10:00:00.123Z", DecisionID: text("d"), AgentID: text("a"), OrganizationID: text("o"), ClientID: text("c"), JTI: text("j"),
		Method: text("GET"), Host: text("h"), Path: text("/p"), RouteID: text("r"), Capability: text("c"), Reason: text("why"), PolicyRevision: text("p"),
		RequestID: text("q"), Peer: text("192.0.2.1"), Status: random.IntN(3) * 200, BytesIn: number(), BytesOut: number(), Count: number(),
		DurationMs: []float64{0, 0.25, 1e-7, 1e21}[random.IntN(4)],
		Outcome:    []decision.Outcome{decision.Allowed, decision.Denied, decision.Error, decision.Gap}[random.IntN(4)],
	}
	if r.Outcome == decision.Gap && random.IntN(2) == 0 {
		r.FirstSequence = new(int64)
	}
	return r
}

// eventOf is what a decision tells, as docs/audit.md has it.
func eventOf(l line, stream Stream) idp.Event {
	r := l.record
	metadata := map[string]any{"sidecarId": stream.SidecarID, "sidecarAgentId": stream.AgentID, "sidecarSequence": r.Sequence, "recordHash": l.hash, "time": r.Time}
	for name, value := range map[string]any{
		"decisionId": r.DecisionID, "agentOrganizationId": r.OrganizationID, "clientId": r.ClientID, "jti": r.JTI,
		"method": r.Method, "host": r.Host, "path": r.Path, "routeId": r.RouteID, "capability": r.Capability, "policyRevision": r.PolicyRevision,
		"status": r.Status, "bytesIn": r.BytesIn, "bytesOut": r.BytesOut, "count": r.Count, "durationMs": r.DurationMs,
	} {
		if text := fmt.Sprint(value); text != "" && text != "0" {
			metadata[name] = value
		}
	}
	if r.FirstSequence != nil {
		metadata["firstSequence"] = *r.FirstSequence
	}
	kind := decisionActions[r.Outcome]
	return idp.Event{
		OrganizationID: stream.OrganizationID, AgentID: r.AgentID, Action: kind.action, Outcome: kind.outcome, Reason: r.Reason,
		Origin: idp.Origin{IPAddress: r.Peer, RequestID: r.RequestID}, Metadata: metadata,
	}
}
