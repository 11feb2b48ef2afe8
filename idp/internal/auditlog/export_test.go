package auditlog_test

import (
	"bytes"
	"database/sql"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/auditlog"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/apierr"
)

var noon = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

// timed is a fixture whose log has the time that the test gives it.
type timed struct {
	*fixture
	second atomic.Int64
}

func newTimed(t *testing.T) *timed {
	t.Helper()
	f := &timed{fixture: newFixture(t)}
	require.NoError(t, f.stop())
	f.restart()
	return f
}

func (f *timed) restart() {
	now := func() time.Time { return noon.Add(time.Duration(f.second.Load()) * time.Second) }
	key, err := auditlog.OpenCheckpointKey(f.t.Context(), f.db, f.sealer, "idp.example.com/audit", now)
	require.NoError(f.t, err)
	f.log, f.stop = f.start(auditlog.New(f.db, key, auditlog.Options{
		Now: now, Logger: slog.New(slog.DiscardHandler), CheckpointEvery: 5 * time.Millisecond, Patience: time.Minute,
	}))
}

// write appends one event a second, of the organizations in turn.
func (f *timed) write(organizations ...string) {
	f.t.Helper()
	for _, organization := range organizations {
		require.NoError(f.t, f.log.Append(f.t.Context(), idp.Event{
			OrganizationID: organization, AgentID: "=agent", Action: idp.ActionAgentUpdated, Outcome: idp.Success,
			Metadata: map[string]any{"second": f.second.Load(), "text": `a "quoted" €`, "ratio": 0.5, "list": []string{"x"}, "large": int64(1) << 60},
		}))
		f.second.Add(1)
	}
}

// covered waits for a checkpoint of all that was written.
func (f *timed) covered() (size int64) {
	f.t.Helper()
	page, err := f.log.List(f.t.Context(), auditlog.Query{Limit: 1})
	require.NoError(f.t, err)
	var newest served
	require.NoError(f.t, json.Unmarshal(page.Data[0], &newest))
	require.Eventually(f.t, func() bool {
		size, _ = strconv.ParseInt(strings.Split(string(f.checkpoint()), "\n")[1], 10, 64)
		return size == newest.Sequence+1
	}, time.Minute, time.Millisecond)
	return size
}

func (f *timed) checkpoint() []byte {
	f.t.Helper()
	signed, err := f.log.Checkpoint(f.t.Context())
	require.NoError(f.t, err)
	return signed
}

func (f *timed) verifier() note.Verifier {
	f.t.Helper()
	verifier, err := note.NewVerifier(f.log.VerifierKey())
	require.NoError(f.t, err)
	return verifier
}

func (f *timed) export(q auditlog.ExportQuery) []byte {
	f.t.Helper()
	f.covered()
	content, err := f.drain(q)
	require.NoError(f.t, err)
	return content
}

func (f *timed) drain(q auditlog.ExportQuery) (content []byte, err error) {
	f.t.Helper()
	export, err := f.log.Export(f.t.Context(), q, idp.Event{OrganizationID: idp.OperatorOrganization})
	for err == nil {
		var piece []byte
		if piece, err = export.Next(f.t.Context()); errors.Is(err, io.EOF) {
			require.Equal(f.t, export.Size(), export.Position())
			return content, nil
		}
		content = append(content, piece...)
	}
	return content, err
}

func (f *timed) hold(content []byte, checkpoints ...[]byte) auditlog.ExportReport {
	f.t.Helper()
	report, err := auditlog.VerifyExport(bytes.NewReader(content), auditlog.VerifyExportOptions{Verifier: f.verifier(), Checkpoints: checkpoints})
	require.NoError(f.t, err)
	return report
}

func ndjson(organization string) auditlog.ExportQuery {
	return auditlog.ExportQuery{Format: auditlog.NDJSON, Filter: auditlog.Filter{OrganizationID: organization}}
}

func eventLines(content []byte) (lines []string) {
	for line := range strings.Lines(string(content)) {
		if strings.HasPrefix(line, `{"action"`) {
			lines = append(lines, strings.TrimSuffix(line, "\n"))
		}
	}
	return lines
}

// Whatever the size of the log and whoever's events are asked for, the export
// holds these, all and no others, and its root comes out.
func TestEveryExportProvesItself(t *testing.T) {
	f := newTimed(t)
	write := []string{"default", "acme", "acme", "default", "bolt"}
	for range 5 {
		f.write(write...)
		write = append(write[1:], write[0])
		size := f.covered()
		all := f.all()
		for _, organization := range []string{store.AnyOrganization, "acme", "bolt", "nobody"} {
			for _, span := range [][2]int64{{-1, -1}, {3, -1}, {-1, 9}, {4, 11}, {5, 6}} {
				q := ndjson(organization)
				if span[0] >= 0 {
					q.From = noon.Add(time.Duration(span[0])*time.Second - time.Microsecond)
				}
				if span[1] >= 0 {
					q.To = noon.Add(time.Duration(span[1]) * time.Second)
				}
				content, err := f.drain(q)
				require.NoError(t, err)
				report := f.hold(content)
				require.Nil(t, report.Problem, "%s\n%s", q.OrganizationID, content)
				require.GreaterOrEqual(t, report.Size, size)
				var want []string
				for _, e := range all[:size] {
					body, err := f.log.Get(t.Context(), organization, e.EventID)
					if apierr.Is(err, apierr.NotFound) {
						continue
					}
					require.NoError(t, err)
					second, written := e.Metadata["second"].(float64)
					if !written {
						continue // an export
					}
					if at := noon.Add(time.Duration(second) * time.Second); !at.Before(q.From) && (q.To.IsZero() || at.Before(q.To)) {
						want = append(want, string(body))
					}
				}
				var got []string
				for _, line := range eventLines(content) {
					if !strings.Contains(line, "audit.exported") {
						got = append(got, line)
					}
				}
				require.Equal(t, want, got)
				require.Equal(t, report.Size == report.Events, report.Whole())
			}
		}
	}
}

// The whole log's root, by other code than ours.
func TestAnExportOfTheWholeLogIsItsTree(t *testing.T) {
	f := newTimed(t)
	for range 101 {
		f.write("default", "acme", "bolt", "default", "acme") // pages of 500
	}
	content := f.export(ndjson(store.AnyOrganization))
	var hashes []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) (out []tlog.Hash, _ error) {
		for _, i := range indexes {
			out = append(out, hashes[i])
		}
		return out, nil
	})
	lines := eventLines(content)
	for i, line := range lines {
		more, err := tlog.StoredHashes(int64(i), []byte(line), reader)
		require.NoError(t, err)
		hashes = append(hashes, more...)
	}
	root, err := tlog.TreeHash(int64(len(lines)), reader)
	require.NoError(t, err)
	require.Equal(t, 1+len(lines), strings.Count(string(content), "\n"))
	report := f.hold(content)
	require.True(t, report.Whole())
	require.Equal(t, root, report.Root)
	require.Equal(t, int64(505), report.Size)

	half := f.export(ndjson("acme"))
	require.Nil(t, f.hold(half).Problem)
	require.Len(t, eventLines(half), 202)
}

func TestAnExportIsAnEvent(t *testing.T) {
	f := newTimed(t)
	f.write("acme", "default", "acme")
	size := f.covered()
	_, err := f.log.Export(t.Context(), auditlog.ExportQuery{Format: auditlog.CSV, Filter: auditlog.Filter{From: noon, To: noon.Add(time.Hour)}}, idp.Event{OrganizationID: "acme", AgentID: "a", Metadata: map[string]any{"jti": "j"}})
	require.NoError(t, err)
	events := f.all()
	last := events[len(events)-1]
	require.Equal(t, "audit.exported", last.Action)
	require.Equal(t, map[string]any{"format": "csv", "size": float64(size), "from": "2026-07-01T12:00:00.000Z", "to": "2026-07-01T13:00:00.000Z", "jti": "j"}, last.Metadata)

	require.NoError(t, f.stop())
	f.stop = func() error { return nil }
	_, err = f.log.Export(t.Context(), ndjson("acme"), idp.Event{OrganizationID: "acme"})
	require.True(t, apierr.Is(err, apierr.AuditUnavailable), err)
}

func TestCSVIsReadBackAndHarmless(t *testing.T) {
	f := newTimed(t)
	f.write("default")
	require.NoError(t, f.log.Append(t.Context(), idp.Event{
		OrganizationID: "default", AgentID: "+1", Action: idp.ActionTokenRefused, Outcome: idp.Failure, Reason: "-x",
		Origin: idp.Origin{UserAgent: "@SUM(A1),\"x\"", RequestID: "\tr", IPAddress: "\rx"},
	}))
	f.write("acme")
	content := f.export(auditlog.ExportQuery{Format: auditlog.CSV, Filter: auditlog.Filter{OrganizationID: "default"}})
	require.Equal(t, strings.Count(string(content), "\n"), strings.Count(string(content), "\r\n"), "RFC 4180")
	rows, err := csv.NewReader(bytes.NewReader(content)).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 3)
	require.Equal(t, "eventId,sequence,timestamp,organizationId,agentId,action,outcome,reason,ipAddress,userAgent,requestId,metadata", strings.Join(rows[0], ","))
	require.Equal(t, []string{"0", "2026-07-01T12:00:00.000Z", "default", "'=agent", "agent.updated", "success"}, rows[1][1:7])
	require.JSONEq(t, `{"second":0,"text":"a \"quoted\" €","ratio":0.5,"list":["x"],"large":1152921504606846976}`, rows[1][11])
	require.Equal(t, []string{"'+1", "token.refused", "failure", "'-x", "'x", "'@SUM(A1),\"x\"", "'\tr", ""}, rows[2][4:])
}

// What retention drops leaves the tree as it was.
func TestDroppedEventsLeaveTheirHashes(t *testing.T) {
	f := newTimed(t)
	for range 60 {
		f.write("default", "acme", "default", "acme", "default")
	}
	f.covered()
	f.tamper(func(db *sql.DB) { mustExec(t, db, `DELETE FROM events WHERE sequence BETWEEN 3 AND 9`) })
	f.restart()
	content := f.export(ndjson(store.AnyOrganization))
	report := f.hold(content)
	require.Nil(t, report.Problem)
	require.False(t, report.Whole())
	require.Equal(t, report.Size-7, report.Events)
	require.Contains(t, string(content), `{"subtree":{"level":0,"index":3,`)
	require.Contains(t, string(content), `{"subtree":{"level":2,"index":1,`)
	require.Contains(t, string(content), `{"subtree":{"level":1,"index":4,`)

	bundle := auditlog.Tile{Width: 256}
	_, err := f.log.Entries(t.Context(), bundle)
	requireRefusal(t, err, apierr.NotFound, "pruned")
	hashes, err := f.log.Tile(t.Context(), bundle)
	require.NoError(t, err)
	require.Len(t, hashes, 8192)
	rest, err := f.log.Entries(t.Context(), auditlog.Tile{Number: 1, Width: 40})
	require.NoError(t, err)
	require.Contains(t, string(rest), `"sequence":256`)
	edge := int(f.covered() - 256)
	_, err = f.log.Entries(t.Context(), auditlog.Tile{Number: 1, Width: edge})
	require.NoError(t, err)
	_, err = f.log.Entries(t.Context(), auditlog.Tile{Number: 1, Width: edge + 1})
	requireRefusal(t, err, apierr.NotFound, "not_covered")

	// The last ones of a bundle, too.
	f.tamper(func(db *sql.DB) { mustExec(t, db, `DELETE FROM events WHERE sequence >= 280`) })
	_, err = auditlog.New(f.db, nil, auditlog.Options{}).Entries(t.Context(), auditlog.Tile{Number: 1, Width: 40})
	requireRefusal(t, err, apierr.NotFound, "pruned")
}

func requireRefusal(t *testing.T, err error, code apierr.Code, reason string) {
	t.Helper()
	require.True(t, apierr.Is(err, code), "%v", err)
	require.Equal(t, reason, apierr.From(err).Reason)
}

// A log that lacks hashes gives no export that looks whole.
func TestADamagedTreeEndsTheExport(t *testing.T) {
	f := newTimed(t)
	for range 80 {
		f.write("default", "acme")
	}
	f.covered()
	f.tamper(func(db *sql.DB) { mustExec(t, db, `DELETE FROM tree_hashes WHERE chunk = 0`) })
	f.restart()
	_, err := f.log.Tile(t.Context(), auditlog.Tile{Width: 2})
	requireRefusal(t, err, apierr.Internal, "audit_damaged")
	content, err := f.drain(ndjson("acme"))
	requireRefusal(t, err, apierr.Internal, "audit_damaged")
	require.Equal(t, 1, strings.Count(string(content), "\n"), "the header alone")
	require.NotNil(t, f.hold(content).Problem)
}
