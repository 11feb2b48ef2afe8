package auditlog_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/auditlog"
	"github.com/sentryagent/agentidp/idp/internal/issuer"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/decision"
)

const ingestRecords = 500 // of one batch, as the benchmark's raw rows

// BenchmarkIngest is one batch of decisions, unzipped, until it is durable.
func BenchmarkIngest(b *testing.B) {
	for _, name := range []string{"sqlite", "postgres"} {
		b.Run(name, func(b *testing.B) {
			db, err := benchStores(b)[name]()
			require.NoError(b, err)
			benchIngest(b, db)
			require.NoError(b, db.Close())
		})
	}
}

func benchIngest(b *testing.B, db store.DB) {
	b.Helper()
	log, stop := benchLog(b, db)
	stream := auditlog.Stream{SidecarID: "0b7f0c52-2c0f-4bb0-8a53-64f3f0d6e001", AgentID: "6f1c0d8e-3c1b-4f6e-9a55-0f6c6f0b7a11", OrganizationID: idp.OperatorOrganization}
	made := decisions{}
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		body := made.batch(b, ingestRecords)
		b.StartTimer()
		_, err := log.Ingest(b.Context(), stream, body)
		require.NoError(b, err)
	}
	b.ReportMetric(float64(ingestRecords*b.N)/b.Elapsed().Seconds(), "events/s")
	b.StopTimer()
	stop()
}

// decisions are those of one sidecar, each chained to the one before it.
type decisions struct {
	next   int64
	anchor string
}

func (d *decisions) batch(b *testing.B, size int) []byte {
	b.Helper()
	var lines bytes.Buffer
	for range size {
		record := decision.Record{
			Sequence: d.next, PrevHash: d.anchor, DecisionID: fmt.Sprintf("%08x-0000-4000-8000-%012x", d.next>>32, d.next),
			Time: time.Now().UTC().Format(decision.TimeLayout), Method: http.MethodGet, Host: "notes.example.com", Path: fmt.Sprintf("/notes/%d", d.next),
			RouteID: "GET /notes/{id}", Capability: "notes:read", Outcome: decision.Allowed, Reason: "capability", Status: http.StatusOK,
		}
		if d.next%10 == 9 {
			record.Outcome, record.Reason, record.Status = decision.Denied, "insufficient_scope", http.StatusForbidden
		}
		line, err := json.Marshal(record)
		require.NoError(b, err)
		lines.Write(append(line, '\n'))
		d.next, d.anchor = d.next+1, record.Anchor(line)
	}
	return lines.Bytes()
}

// benchLog runs a log over db until stop.
func benchLog(b *testing.B, db store.DB) (log *auditlog.Log, stop func()) {
	b.Helper()
	sealer, err := issuer.NewSealer(make([]byte, issuer.MasterKeySize))
	require.NoError(b, err)
	key, err := auditlog.OpenCheckpointKey(b.Context(), db, sealer, "idp.example.com/audit", time.Now)
	require.NoError(b, err)
	log = auditlog.New(db, key, auditlog.Options{Logger: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- log.Run(ctx) }()
	require.NoError(b, log.Append(ctx, event("first")))
	return log, func() {
		cancel()
		require.NoError(b, <-ended)
	}
}
