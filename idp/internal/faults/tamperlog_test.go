package faults

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/auditlog"
	"github.com/sentryagent/agentidp/idp/internal/issuer"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

// author writes a log of half a year, with what retention does to it, by the
// program's own code under a clock of its own.
type author struct {
	t      *testing.T
	dir    string
	sealer *issuer.Sealer
	now    time.Time // the log's clock; while no log runs, or between two commits
	log    *auditlog.Log
	random func(n int) int
}

func newAuthor(t *testing.T, random func(n int) int) *author {
	t.Helper()
	dir := t.TempDir()
	master, err := issuer.LoadMasterKey("", filepath.Join(dir, "master.key"))
	require.NoError(t, err)
	sealer, err := issuer.NewSealer(master)
	require.NoError(t, err)
	return &author{t: t, dir: dir, sealer: sealer, random: random, now: time.Date(2025, time.January, 20, 9, 0, 0, 0, time.UTC)}
}

func (a *author) checkpointFile() string { return filepath.Join(a.dir, "audit.checkpoint") }

// stubborn keeps what is to be dropped: somebody is in the way.
type stubborn struct{ store.DB }

func (stubborn) Drop(context.Context, store.Class, time.Time) (bool, error) { return false, nil }

// session runs a log on the store until write returns; it ends with a checkpoint.
func (a *author) session(db store.DB, write func()) {
	a.t.Helper()
	key, err := auditlog.OpenCheckpointKey(a.t.Context(), db, a.sealer, "idp.example.com/audit", func() time.Time { return a.now })
	require.NoError(a.t, err)
	a.log = auditlog.New(db, key, auditlog.Options{
		Now: func() time.Time { return a.now }, Logger: slog.New(slog.DiscardHandler), CheckpointEvery: time.Hour, Patience: time.Minute, CheckpointFile: a.checkpointFile(),
	})
	ctx, cancel := context.WithCancel(a.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.log.Run(ctx) }()
	write()
	cancel()
	require.NoError(a.t, <-ended)
}

func (a *author) found(organization idp.Organization, action idp.Action) {
	a.t.Helper()
	organization.Name, organization.CreatedAt, organization.UpdatedAt, organization.Revision = organization.ID, a.now, a.now, 1
	require.NoError(a.t, a.log.Commit(a.t.Context(), func(ctx context.Context, tx *store.Tx) ([]idp.Event, error) {
		return []idp.Event{{
			OrganizationID: organization.ID, Action: action, Outcome: idp.Success, Metadata: map[string]any{"plan": string(organization.Plan)},
		}}, tx.Organizations.Insert(ctx, organization)
	}))
}

var authored = []struct {
	action  idp.Action
	outcome idp.Outcome
}{{idp.ActionTokenIssued, idp.Success}, {idp.ActionAgentUpdated, idp.Success}, {idp.ActionTokenRefused, idp.Failure}, {idp.ActionDecisionDenied, idp.Denied}}

// month appends events of all organizations, a few in one commit, and goes on to the next.
func (a *author) month(events int) {
	a.t.Helper()
	for events > 0 {
		n := min(events, 1+a.random(40))
		batch := make([]idp.Event, n)
		for i := range batch {
			kind := authored[a.random(len(authored))]
			batch[i] = idp.Event{
				OrganizationID: []string{idp.OperatorOrganization, "acme", "grown"}[a.random(3)], AgentID: fmt.Sprintf("agent-%d", a.random(5)),
				Action: kind.action, Outcome: kind.outcome, Origin: idp.Origin{IPAddress: "192.0.2.7"}, Metadata: map[string]any{"n": int64(a.random(1 << 20))},
			}
		}
		require.NoError(a.t, a.log.Append(a.t.Context(), batch...))
		a.now, events = a.now.Add(time.Duration(a.random(30_000))*time.Millisecond), events-n
	}
	a.now = a.now.AddDate(0, 1, 0)
}

// write makes the whole log. old is called after each month.
func (a *author) write(db store.DB, events int, old func()) (checkpoint []byte) {
	a.t.Helper()
	keep := auditlog.Retention{Free: auditlog.MinRetention}
	a.session(db, func() {
		require.NoError(a.t, a.log.Append(a.t.Context(), idp.Event{OrganizationID: idp.OperatorOrganization, Action: idp.ActionKeyCreated, Outcome: idp.Success}))
		a.found(idp.Organization{ID: idp.OperatorOrganization, Plan: idp.PlanFree}, idp.ActionAdministratorBootstrap)
		a.found(idp.Organization{ID: "acme", Plan: idp.PlanFree}, idp.ActionOrganizationCreated)
		a.found(idp.Organization{ID: "grown", Plan: idp.PlanCustom}, idp.ActionOrganizationCreated)
	})
	const months = 7
	for n := range months {
		which := db
		if n == 5 {
			which = stubborn{db} // what this turn records is not dropped
		}
		a.session(which, func() {
			a.month(events / months)
			if n >= 3 && n < 6 {
				taken, err := a.log.Prune(a.t.Context(), keep)
				require.NoError(a.t, err)
				require.Positive(a.t, taken)
			}
		})
		if n < months-1 {
			old()
		}
	}
	checkpoint, err := os.ReadFile(a.checkpointFile())
	require.NoError(a.t, err)
	return checkpoint
}
