package auditlog_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/auditlog"
	"github.com/sentryagent/agentidp/idp/internal/issuer"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/idp/internal/store/postgres"
	"github.com/sentryagent/agentidp/idp/internal/store/postgres/pgtest"
	"github.com/sentryagent/agentidp/idp/internal/store/sqlite"
)

// aged is a log under a clock that the test sets, on one of the backends.
type aged struct {
	t      *testing.T
	db     store.DB
	sealer *issuer.Sealer
	log    *auditlog.Log
	files  []string   // see file
	mu     sync.Mutex // guards now
	now    time.Time
}

var january = time.Date(2025, time.January, 15, 12, 0, 0, 0, time.UTC)

var keepFree = auditlog.Retention{Free: 90}

func onEachStore(t *testing.T, test func(t *testing.T, a *aged)) {
	for name, open := range map[string]func() (store.DB, error){
		"sqlite": func() (store.DB, error) { return sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "log.db")) },
		"postgres": func() (store.DB, error) {
			return postgres.Open(t.Context(), postgres.Options{URL: pgtest.URL(t), Migrate: true, Patience: 20})
		},
	} {
		t.Run(name, func(t *testing.T) {
			master, err := issuer.LoadMasterKey("", filepath.Join(t.TempDir(), "master.key"))
			require.NoError(t, err)
			sealer, err := issuer.NewSealer(master)
			require.NoError(t, err)
			db, err := open()
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, db.Close()) })
			a := &aged{t: t, db: db, sealer: sealer, now: january}
			a.log = a.run(db)
			a.found("acme", idp.PlanFree)
			a.found("grown", idp.PlanCustom)
			test(t, a)
		})
	}
}

func (a *aged) clock() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.now
}

// file is where one more replica keeps its copy of what it signed.
func (a *aged) file() string {
	file := filepath.Join(a.t.TempDir(), "audit.checkpoint")
	a.files = append(a.files, file)
	return file
}

// run runs a log on db until the test ends.
func (a *aged) run(db store.DB) *auditlog.Log {
	a.t.Helper()
	key, err := auditlog.OpenCheckpointKey(a.t.Context(), db, a.sealer, "idp.example.com/audit", a.clock)
	require.NoError(a.t, err)
	log := auditlog.New(db, key, auditlog.Options{Now: a.clock, Logger: slog.New(slog.DiscardHandler), Patience: time.Minute, CheckpointEvery: 10 * time.Millisecond, CheckpointFile: a.file()})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- log.Run(ctx) }()
	a.t.Cleanup(func() {
		cancel()
		require.NoError(a.t, <-ended)
	})
	return log
}

// signed waits until a checkpoint covers the whole log.
func (a *aged) signed() {
	a.t.Helper()
	eventually(a.t, "a checkpoint of the whole log", func() (covered bool) {
		require.NoError(a.t, a.db.View(a.t.Context(), func(ctx context.Context, tx *store.Tx) error {
			size, err := tx.Tree.Size(ctx)
			if err != nil || size == 0 {
				covered = err == nil
				return err
			}
			latest, err := tx.Tree.LatestCheckpoint(ctx)
			covered = latest.Size == size
			return err
		}))
		return covered
	})
}

func (a *aged) size() (size int64) {
	a.t.Helper()
	require.NoError(a.t, a.db.View(a.t.Context(), func(ctx context.Context, tx *store.Tx) (err error) {
		size, err = tx.Tree.Size(ctx)
		return err
	}))
	return size
}

func (a *aged) set(at time.Time) {
	a.t.Helper()
	a.signed()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.now = at
}

func (a *aged) found(id string, plan idp.Plan) {
	a.t.Helper()
	o := idp.Organization{ID: id, Name: id, Plan: plan, CreatedAt: a.clock(), UpdatedAt: a.clock(), Revision: 1}
	require.NoError(a.t, a.log.Commit(a.t.Context(), func(ctx context.Context, tx *store.Tx) ([]idp.Event, error) {
		return []idp.Event{{OrganizationID: id, Action: idp.ActionOrganizationCreated, Outcome: idp.Success, Metadata: map[string]any{"plan": string(plan)}}},
			tx.Organizations.Insert(ctx, o)
	}))
}

func (a *aged) append(organizationID string, n int) {
	a.t.Helper()
	events := make([]idp.Event, n)
	for i := range events {
		events[i] = event("agent-1")
		events[i].OrganizationID = organizationID
	}
	require.NoError(a.t, a.log.Append(a.t.Context(), events...))
}

func (a *aged) prune(log *auditlog.Log, keep auditlog.Retention) int64 {
	a.t.Helper()
	taken, err := log.Prune(a.t.Context(), keep)
	require.NoError(a.t, err)
	return taken
}

func (a *aged) verify() auditlog.Report {
	a.t.Helper()
	var kept [][]byte
	for _, file := range a.files {
		if note, err := os.ReadFile(file); err == nil {
			kept = append(kept, note)
		}
	}
	report, err := auditlog.Verify(a.t.Context(), a.db, a.sealer, auditlog.VerifyOptions{Checkpoints: kept})
	require.NoError(a.t, err)
	require.Nil(a.t, report.Problem)
	return report
}

func (a *aged) list(q auditlog.Query) auditlog.Page {
	a.t.Helper()
	page, err := a.log.List(a.t.Context(), q)
	require.NoError(a.t, err)
	return page
}

func TestPruning(t *testing.T) {
	onEachStore(t, func(t *testing.T, a *aged) {
		a.append("acme", 30) // 2..31
		a.append("grown", 5)
		a.append("acme", 10)
		first := a.size()
		a.set(january.AddDate(0, 1, 0))
		a.append("acme", 7)
		cursor := a.list(auditlog.Query{Filter: auditlog.Filter{OrganizationID: "acme"}, Limit: 20}).NextCursor // into January
		require.NotEmpty(t, cursor)

		a.set(time.Date(2025, time.May, 2, 0, 0, 0, 0, time.UTC).Add(-24*time.Hour - time.Millisecond))
		require.Zero(t, a.prune(a.log, keepFree), "the last of January is not 90 days old")
		a.set(time.Date(2025, time.May, 2, 0, 0, 0, 0, time.UTC))
		require.EqualValues(t, 40, a.prune(a.log, keepFree))
		require.Zero(t, a.prune(a.log, keepFree), "once")
		report := a.verify()
		require.EqualValues(t, 40, report.Pruned)
		require.Equal(t, a.size(), report.Events)

		page := a.list(auditlog.Query{Filter: auditlog.Filter{Action: idp.ActionAuditPruned}, Limit: 10})
		require.Len(t, page.Data, 1)
		for _, part := range []string{`"class":"free"`, `"count":40`, `"first":2`, `"last":46`, `"month":"2025-01"`, `"organizationId":"default"`} {
			require.Contains(t, string(page.Data[0]), part)
		}
		require.Empty(t, a.list(auditlog.Query{Filter: auditlog.Filter{OrganizationID: "acme"}, Cursor: cursor, Limit: 20}).NextCursor, "a cursor into what is gone: the end of the list")
		require.Len(t, a.list(auditlog.Query{Filter: auditlog.Filter{OrganizationID: "acme"}, Limit: 20}).Data, 8, "with its founding")
		require.Len(t, a.list(auditlog.Query{Filter: auditlog.Filter{OrganizationID: "grown"}, Limit: 20}).Data, 6)

		a.provable(first)
		a.append("acme", 3)
		a.signed()
		require.EqualValues(t, 12, a.prune(a.log, auditlog.Retention{Free: 31, Custom: 31}), "February, and January of the others")
		require.EqualValues(t, 52, a.verify().Pruned)
	})
}

// provable holds proofs of all that is left, and of the log's growth, against its root.
func (a *aged) provable(first int64) {
	a.t.Helper()
	size := a.size()
	root := a.verify().Root
	for index := range size {
		proof, err := a.log.Inclusion(a.t.Context(), index, size)
		require.NoError(a.t, err)
		require.Equal(a.t, root, proof.RootHash)
		require.NoError(a.t, tlog.CheckRecord(proof.Hashes, size, root, index, proof.LeafHash))
	}
	grown, err := a.log.Consistency(a.t.Context(), first, size)
	require.NoError(a.t, err)
	require.NoError(a.t, tlog.CheckTree(grown.Hashes, size, root, first, grown.FirstRoot))
}

// interrupted does not drop: it was killed after the record.
type interrupted struct{ store.DB }

func (interrupted) Drop(context.Context, store.Class, time.Time) (bool, error) { return false, nil }

func TestPruningIsCarriedOn(t *testing.T) {
	onEachStore(t, func(t *testing.T, a *aged) {
		a.append("acme", 30)
		a.set(january.AddDate(1, 0, 0))
		require.EqualValues(t, 30, a.prune(a.run(interrupted{a.db}), keepFree))
		report := a.verify()
		require.Zero(t, report.Pruned, "they wait for their drop")
		require.Len(t, a.list(auditlog.Query{Filter: auditlog.Filter{OrganizationID: "acme"}, Limit: 100}).Data, 31)
		require.Zero(t, a.prune(a.log, keepFree), "nothing is recorded twice")
		require.EqualValues(t, 30, a.verify().Pruned)
	})
}

func TestReplicasPruneOnce(t *testing.T) {
	onEachStore(t, func(t *testing.T, a *aged) {
		for range 4 {
			a.append("acme", 50)
			a.set(a.clock().AddDate(0, 1, 0))
		}
		a.set(january.AddDate(1, 0, 0))
		logs := []*auditlog.Log{a.log, a.run(a.db), a.run(a.db), a.run(a.db)}
		var group sync.WaitGroup
		var mu sync.Mutex // guards taken
		taken := int64(0)
		for _, log := range logs {
			group.Go(func() {
				n, err := log.Prune(t.Context(), keepFree)
				mu.Lock()
				defer mu.Unlock()
				taken += n
				if err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		taken += a.prune(a.log, keepFree) // what a replica left to another
		require.EqualValues(t, 200, taken)
		require.EqualValues(t, 200, a.verify().Pruned)
		require.Len(t, a.list(auditlog.Query{Filter: auditlog.Filter{Action: idp.ActionAuditPruned}, Limit: 100}).Data, 4)
	})
}

func TestPruningTakesAnyNumberOfSegments(t *testing.T) {
	onEachStore(t, func(t *testing.T, a *aged) {
		for range 3 {
			a.append("acme", 1500)
			a.append("grown", 10)
		}
		a.set(january.AddDate(1, 0, 0))
		require.EqualValues(t, 4500, a.prune(a.log, keepFree))
		require.EqualValues(t, 4500, a.verify().Pruned)
		require.Len(t, a.list(auditlog.Query{Filter: auditlog.Filter{OrganizationID: "grown"}, Limit: 100}).Data, 31)
	})
}

func TestRetentionIsBounded(t *testing.T) {
	onEachStore(t, func(t *testing.T, a *aged) {
		a.append("acme", 1)
		a.set(january.AddDate(9, 0, 0))
		for _, keep := range []auditlog.Retention{{Free: 30}, {Custom: 1}, {Free: -1}} {
			_, err := a.log.Prune(t.Context(), keep)
			require.ErrorContains(t, err, "less than 31")
		}
		require.Zero(t, a.prune(a.log, auditlog.Retention{}))
	})
}

// A plan that changes takes the events of its own change with it, and none before them.
func TestPlansMayChange(t *testing.T) {
	onEachStore(t, func(t *testing.T, a *aged) {
		for _, plan := range []idp.Plan{idp.PlanCustom, idp.PlanFree, idp.PlanCustom} {
			a.append("acme", 3)
			require.NoError(t, a.log.Commit(t.Context(), func(ctx context.Context, tx *store.Tx) ([]idp.Event, error) {
				o, err := tx.Organizations.Get(ctx, "acme")
				if err != nil {
					return nil, err
				}
				from := o.Plan
				o.Plan = plan
				after := event("agent")
				after.OrganizationID = "acme"
				return []idp.Event{{
					OrganizationID: "acme", Action: idp.ActionOrganizationUpdated, Outcome: idp.Success, Metadata: map[string]any{"planFrom": string(from), "planTo": string(plan)},
				}, after}, tx.Organizations.Update(ctx, o)
			}))
		}
		a.append("acme", 3)
		a.append("nobody", 1)
		a.verify()
	})
}

// Whoever holds the database, but not the master key, makes the IdP's own log
// accept a pruning neither by an event of the right form nor by one that was signed for something else.
func TestARecordThatTheKeyDidNotSignIsFound(t *testing.T) {
	onEachStore(t, func(t *testing.T, a *aged) {
		a.append("acme", 30)
		a.set(january.AddDate(1, 0, 0))
		a.prune(a.run(interrupted{a.db}), keepFree)
		page := a.list(auditlog.Query{Filter: auditlog.Filter{Action: idp.ActionAuditPruned}, Limit: 1})
		var genuine struct{ Metadata map[string]any }
		require.NoError(t, json.Unmarshal(page.Data[0], &genuine))
		forged := map[string]any{}
		for name, value := range genuine.Metadata {
			forged[name] = value
		}
		forged["digest"] = strings.Repeat("00", 32)
		require.NoError(t, a.log.Append(t.Context(), idp.Event{OrganizationID: idp.OperatorOrganization, Action: idp.ActionAuditPruned, Outcome: idp.Success, Metadata: forged}))
		last := a.size() - 1
		report, err := auditlog.Verify(t.Context(), a.db, a.sealer, auditlog.VerifyOptions{})
		require.NoError(t, err)
		require.NotNil(t, report.Problem)
		require.Equal(t, last, report.Problem.Sequence)
		require.Contains(t, report.Problem.What, "not made by this log")
	})
}

func TestANoteIsTakenInItsOneFormOnly(t *testing.T) {
	f := newFixture(t)
	f.append(3)
	f.close()
	note, err := os.ReadFile(f.checkpointFile())
	require.NoError(t, err)
	loose := []byte(strings.TrimSuffix(string(note), "=\n"))
	last := &loose[len(loose)-1]
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	*last = alphabet[strings.IndexByte(alphabet, *last)|1] // a bit that decodes to nothing
	loose = append(loose, "=\n"...)
	require.NotEqual(t, note, loose)
	f.tamper(func(db *sql.DB) { mustExec(t, db, "UPDATE checkpoints SET note = ? WHERE size = 3", loose) })
	report := f.verify(note)
	require.NotNil(t, report.Problem)
	require.Contains(t, report.Problem.What, "no valid signature")
}
