package auditlog_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/auditlog"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/shared/decision"
)

var stream = auditlog.Stream{SidecarID: "8b9f7f0e-2c1e-4a53-9a53-64f3f0d6e001", AgentID: "sidecar-agent", OrganizationID: "acme", Version: "1", PolicyRevision: "p1"}

// chain makes n records that follow each other from sequence first on.
func chain(t *testing.T, first int64, previous string, n int, edit func(i int, r *decision.Record)) (lines []string, last string) {
	t.Helper()
	for i := range n {
		r := decision.Record{
			Sequence: first + int64(i), PrevHash: previous, DecisionID: fmt.Sprint("d", i), Time: "2026-07-01T12:00:00.000Z", AgentID: "agent-1",
			Method: "GET", Path: "/notes", Outcome: decision.Allowed, Status: 200, DurationMs: 0.25, Peer: "192.0.2.1",
		}
		if edit != nil {
			edit(i, &r)
		}
		line, err := json.Marshal(r)
		require.NoError(t, err)
		lines, previous = append(lines, string(line)), decision.Hash(line)
	}
	return lines, previous
}

func body(lines ...[]string) []byte {
	var all []string
	for _, l := range lines {
		all = append(all, l...)
	}
	return []byte(strings.Join(all, "\n") + "\n")
}

func TestDecisionsArriveExactlyOnce(t *testing.T) {
	f := newFixture(t)
	lines, last := chain(t, 0, "", 10, nil)
	ingest := func(want auditlog.Ingested, lines ...[]string) {
		t.Helper()
		got, err := f.log.Ingest(t.Context(), stream, body(lines...))
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	ingest(auditlog.Ingested{NextSequence: 4, Ingested: 4}, lines[:4])
	ingest(auditlog.Ingested{NextSequence: 4, Skipped: 4}, lines[:4])
	ingest(auditlog.Ingested{NextSequence: 10, Ingested: 6, Skipped: 2}, lines[2:])
	got, err := f.log.Ingest(t.Context(), stream, nil)
	require.NoError(t, err, "an empty batch asks where the stream stands")
	require.Equal(t, auditlog.Ingested{NextSequence: 10}, got)

	more, _ := chain(t, 11, last, 1, nil)
	_, err = f.log.Ingest(t.Context(), stream, body(more))
	require.True(t, apierr.Is(err, apierr.SequenceGap), err)
	require.EqualValues(t, 10, apierr.From(err).Details["nextSequence"])

	events := f.all()
	require.Len(t, events, 10)
	for i, e := range events {
		require.Equal(t, "decision.allowed", e.Action)
		require.Equal(t, "agent-1", e.AgentID)
		require.EqualValues(t, i, e.Metadata["sidecarSequence"])
	}
	require.NoError(t, f.db.View(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		kept, err := tx.Sidecars.Get(ctx, stream.AgentID, stream.SidecarID)
		require.NoError(t, err)
		require.EqualValues(t, 10, kept.NextSequence)
		require.Equal(t, last, kept.LastHash)
		return nil
	}))

	other := stream
	other.AgentID = "another-agent"
	got, err = f.log.Ingest(t.Context(), other, body(lines[:1]))
	require.NoError(t, err, "a stream belongs to agent and sidecar")
	require.Equal(t, auditlog.Ingested{NextSequence: 1, Ingested: 1}, got)
}

func TestAGapIsDeclaredAndRestartsTheChain(t *testing.T) {
	f := newFixture(t)
	lines, _ := chain(t, 0, "", 3, nil)
	_, err := f.log.Ingest(t.Context(), stream, body(lines))
	require.NoError(t, err)
	first := int64(3)
	gap, _ := chain(t, 7, "", 1, func(_ int, r *decision.Record) {
		*r = decision.Record{Sequence: 7, FirstSequence: &first, Time: r.Time, Outcome: decision.Gap, Reason: decision.GapCorrupt, Count: 5}
	})
	// The record after it is chained to a line that is lost.
	rest, _ := chain(t, 8, strings.Repeat("ab", 32), 2, nil)
	got, err := f.log.Ingest(t.Context(), stream, body(gap, rest))
	require.NoError(t, err)
	require.Equal(t, auditlog.Ingested{NextSequence: 10, Ingested: 3}, got)
	more, _ := chain(t, 10, strings.Repeat("cd", 32), 1, nil)
	_, err = f.log.Ingest(t.Context(), stream, body(more))
	require.True(t, apierr.Is(err, apierr.ValidationFailed), "the chain holds again: %v", err)
	event := f.all()[3]
	require.Equal(t, "decision.gap", event.Action)
	require.Equal(t, "failure", event.Outcome)
	require.EqualValues(t, 5, event.Metadata["count"])
	require.EqualValues(t, 3, event.Metadata["firstSequence"])
}

func TestABadBatchChangesNothing(t *testing.T) {
	f := newFixture(t)
	good, _ := chain(t, 0, "", 3, nil)
	edited := func(edit func(i int, r *decision.Record)) []string {
		lines, _ := chain(t, 0, "", 3, edit)
		return lines
	}
	for name, row := range map[string]struct {
		body  []byte
		code  apierr.Code
		field string
	}{
		"not JSON":          {[]byte("x\n"), apierr.ValidationFailed, "records[0]"},
		"an unknown member": {[]byte(strings.Replace(string(body(good)), `"decisionId"`, `"decisionID2"`, 1)), apierr.ValidationFailed, "records[0]"},
		"a hole":            {body(good[:1], good[2:]), apierr.ValidationFailed, "records[1].sequence"},
		"a broken chain":    {body(good[:1], edited(func(i int, r *decision.Record) { r.PrevHash = strings.Repeat("a", 64) })[1:]), apierr.ValidationFailed, "records[1].prevHash"},
		"a wrong start":     {body(edited(func(i int, r *decision.Record) { r.PrevHash = strings.Repeat("a", 64) })[:1]), apierr.ValidationFailed, "records[0].prevHash"},
		"an outcome":        {body(edited(func(i int, r *decision.Record) { r.Outcome = "maybe" })[:1]), apierr.ValidationFailed, "records[0]"},
		"an empty line":     {[]byte("\n"), apierr.ValidationFailed, "records[0]"},
		"too many bytes":    {make([]byte, decision.MaxBytes+1), apierr.PayloadTooLarge, ""},
	} {
		_, err := f.log.Ingest(t.Context(), stream, row.body)
		require.True(t, apierr.Is(err, row.code), "%s: %v", name, err)
		if row.field != "" {
			require.Equal(t, row.field, apierr.From(err).Fields[0].Field, name)
		}
	}
	many, _ := chain(t, 0, "", decision.MaxRecords+1, nil)
	_, err := f.log.Ingest(t.Context(), stream, body(many))
	require.True(t, apierr.Is(err, apierr.PayloadTooLarge), err)
	require.Empty(t, f.all())
	got, err := f.log.Ingest(t.Context(), stream, body(many[:decision.MaxRecords]))
	require.NoError(t, err)
	require.Equal(t, decision.MaxRecords, got.Ingested)
}

// short is a batch without what the log can compute.
func short(lines []string) []byte {
	return bytes.Join(slices.Collect(decision.Short(body(lines))), nil)
}

func TestABatchTravelsShort(t *testing.T) {
	f, whole := newFixture(t), newFixture(t)
	lines, _ := chain(t, 0, "", 9, nil)
	require.Less(t, len(short(lines)), len(body(lines))-6*64)
	for _, piece := range [][]string{lines[:4], lines[2:6], lines[6:7], lines[7:]} { // some are known
		_, err := f.log.Ingest(t.Context(), stream, short(piece))
		require.NoError(t, err)
	}
	_, err := whole.log.Ingest(t.Context(), stream, body(lines))
	require.NoError(t, err)
	for i, event := range whole.all() {
		require.Equal(t, event.Metadata, f.all()[i].Metadata)
	}
}

// Whatever was changed on the way or left out, the next hash that travelled tells.
func TestAShortBatchIsVerified(t *testing.T) {
	f := newFixture(t)
	lines, _ := chain(t, 0, "", 5, nil)
	sent := string(short(lines))
	links := regexp.MustCompile(`,"prevHash":"[0-9a-f]{64}"`)
	require.Len(t, links.FindAllString(sent, -1), 2)
	for name, row := range map[string]struct{ body, field string }{
		"a line was changed":                {strings.Replace(sent, `"decisionId":"d2"`, `"decisionId":"dX"`, 1), "records[4].prevHash"},
		"a line was put in place of others": {strings.Replace(sent, `"status":200`, `"status":403`, 3), "records[1].prevHash"},
		"the last has no hash":              {links.ReplaceAllString(sent, ""), "records[4].prevHash"},
		"two hashes":                        {strings.Replace(sent, `"decisionId":"d2"`, `"decisionId":"d2","prevHash":""`, 1), "records[2]"},
		"the first is short too":            {strings.Join(strings.SplitAfter(sent, "\n")[3:], ""), ""},
	} {
		_, err := f.log.Ingest(t.Context(), stream, []byte(row.body))
		require.Error(t, err, name)
		if row.field != "" {
			require.Equal(t, row.field, apierr.From(err).Fields[0].Field, name)
		}
	}
	require.Empty(t, f.all())
	_, err := f.log.Ingest(t.Context(), stream, []byte(sent))
	require.NoError(t, err)
}

// Any order and repetition of pieces of one stream gives the same log, short or not.
func FuzzIngest(f *testing.F) {
	f.Add([]byte{0, 3, 2, 5, 0, 9})
	f.Add([]byte{0, 0x80 + 5, 2, 0x80 + 12, 0, 9})
	f.Fuzz(func(t *testing.T, cuts []byte) {
		if len(cuts) > 12 {
			return
		}
		fixture := newFixture(t)
		lines, _ := chain(t, 0, "", 10, nil)
		for i := 0; i+1 < len(cuts); i += 2 {
			from, to := int(cuts[i])%10, int(cuts[i+1])%11
			if from < to {
				sent := body(lines[from:to])
				if cuts[i+1]&0x80 != 0 {
					sent = short(lines[from:to])
				}
				_, err := fixture.log.Ingest(t.Context(), stream, sent)
				require.True(t, err == nil || apierr.Is(err, apierr.SequenceGap), err)
			}
		}
		for i, e := range fixture.all() {
			require.Equal(t, fmt.Sprint("d", i), e.Metadata["decisionId"])
			require.Equal(t, string(idp.ActionDecisionAllowed), e.Action)
		}
		fixture.close()
	})
}
