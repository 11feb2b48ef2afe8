package auditlog_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/auditlog"
	"github.com/sentryagent/agentidp/idp/internal/issuer"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/idp/internal/store/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fixture is a log over a store in a file.
type fixture struct {
	t      *testing.T
	dir    string
	db     *sqlite.Store
	sealer *issuer.Sealer
	log    *auditlog.Log
	stop   func() error
	meters *metrics.Set // of the log that run made last
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	master, err := issuer.LoadMasterKey("", filepath.Join(t.TempDir(), "master.key"))
	require.NoError(t, err)
	sealer, err := issuer.NewSealer(master)
	require.NoError(t, err)
	f := &fixture{t: t, dir: t.TempDir(), sealer: sealer}
	require.NoError(t, sqlite.Create(f.path()))
	f.open()
	return f
}

func (f *fixture) path() string           { return filepath.Join(f.dir, "log.db") }
func (f *fixture) checkpointFile() string { return filepath.Join(f.dir, "audit.checkpoint") }

// open opens the store and runs a log on it until close.
func (f *fixture) open() {
	f.t.Helper()
	db, err := sqlite.Open(f.t.Context(), f.path())
	require.NoError(f.t, err)
	f.db = db
	f.log, f.stop = f.run(db)
	f.t.Cleanup(f.close)
}

func (f *fixture) close() {
	if f.db == nil {
		return
	}
	db := f.db
	f.db = nil
	require.NoError(f.t, f.stop())
	require.NoError(f.t, db.Close())
}

func (f *fixture) run(db store.DB) (*auditlog.Log, func() error) {
	f.t.Helper()
	key, err := auditlog.OpenCheckpointKey(f.t.Context(), db, f.sealer, "idp.example.com/audit", time.Now)
	require.NoError(f.t, err)
	f.meters = metrics.NewSet()
	log := auditlog.New(db, key, auditlog.Options{Logger: slog.New(slog.DiscardHandler), Metrics: f.meters, CheckpointEvery: 20 * time.Millisecond, Patience: time.Minute, CheckpointFile: f.checkpointFile()})
	return f.start(log)
}

// start runs the log until the function it returns is called.
func (f *fixture) start(log *auditlog.Log) (*auditlog.Log, func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- log.Run(ctx) }()
	return log, func() error {
		cancel()
		return <-ended
	}
}

// together is how many events append commits at once.
const together = 8

func (f *fixture) append(n int) {
	f.t.Helper()
	for from := 0; from < n; from += together {
		var events []idp.Event
		for i := from; i < min(n, from+together); i++ {
			events = append(events, event(fmt.Sprintf("agent-%d", i)))
		}
		require.NoError(f.t, f.log.Append(f.t.Context(), events...))
	}
}

func (f *fixture) verify(checkpoints ...[]byte) auditlog.Report {
	f.t.Helper()
	report, err := auditlog.Verify(f.t.Context(), f.db, f.sealer, auditlog.VerifyOptions{Checkpoints: checkpoints})
	require.NoError(f.t, err)
	return report
}

func event(agent string) idp.Event {
	return idp.Event{
		OrganizationID: idp.OperatorOrganization, AgentID: agent, Action: idp.ActionAgentUpdated, Outcome: idp.Success,
		Metadata: map[string]any{"field": "version"},
	}
}

type served struct {
	EventID, AgentID, Action, Outcome, Reason string
	Sequence                                  int64
	Metadata                                  map[string]any
}

// all reads the whole log, oldest first.
func (f *fixture) all() []served {
	f.t.Helper()
	var events []served
	query := auditlog.Query{Limit: 7}
	for {
		page, err := f.log.List(f.t.Context(), query)
		require.NoError(f.t, err)
		for _, raw := range page.Data {
			var e served
			require.NoError(f.t, json.Unmarshal(raw, &e))
			events = append([]served{e}, events...)
		}
		if query.Cursor = page.NextCursor; query.Cursor == "" {
			return events
		}
	}
}

// eventually waits for a state up to ten seconds and says how long it took.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	began := time.Now()
	require.Eventually(t, holds, time.Minute, 5*time.Millisecond, what)
	t.Logf("%s after %s", what, time.Since(began).Round(time.Millisecond))
}

// agent puts an organization, an agent and a credential into the store.
func (f *fixture) agent() store.Gate {
	f.t.Helper()
	now := idp.Time(time.Now())
	g := store.Gate{
		Organization: idp.Organization{ID: idp.OperatorOrganization, Name: "Default", Plan: idp.PlanFree, CreatedAt: now, UpdatedAt: now, Revision: 1},
		Agent: idp.Agent{
			ID: uuid.NewString(), OrganizationID: idp.OperatorOrganization, Email: "a@example.com", Type: idp.TypeCustom, Version: "1.0.0",
			Owner: "o", Environment: "development", Status: idp.Active, CreatedAt: now, UpdatedAt: now, Revision: 1,
		},
	}
	g.Credential = idp.Credential{
		ID: uuid.NewString(), ClientID: "aidp_c_0123456789abcdefghijkl", AgentID: g.Agent.ID, OrganizationID: g.Agent.OrganizationID, Status: idp.CredentialActive, Method: idp.MethodSecret,
		Secret: idp.SecretHash{Scheme: "bcrypt", Encoded: "x"}, Version: 1, CreatedAt: now,
	}
	require.NoError(f.t, f.db.Update(f.t.Context(), func(ctx context.Context, tx *store.Tx) error {
		if err := tx.Organizations.Insert(ctx, g.Organization); err != nil {
			return err
		}
		if err := tx.Agents.Insert(ctx, g.Agent); err != nil {
			return err
		}
		if err := tx.Keys.Insert(ctx, store.Key{ID: "signer", Use: store.UseToken, Status: store.KeyActive, Public: []byte{1}, Sealed: []byte{2}, CreatedAt: now}); err != nil {
			return err
		}
		return tx.Credentials.Insert(ctx, g.Credential)
	}))
	return g
}

// reopenForVerification opens the store without a log.
func (f *fixture) reopenForVerification() {
	f.t.Helper()
	db, err := sqlite.Open(f.t.Context(), f.path())
	require.NoError(f.t, err)
	f.db, f.stop = db, func() error { return nil }
}
