package auditlog_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/auditlog"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/idp/internal/store/postgres"
	"github.com/sentryagent/agentidp/idp/internal/store/postgres/pgtest"
	"github.com/sentryagent/agentidp/shared/apierr"
)

// onBoth runs a fact on a log over each backend.
func onBoth(t *testing.T, fact func(t *testing.T, q *queue)) {
	t.Run("sqlite", func(t *testing.T) {
		f := newFixture(t)
		fact(t, &queue{fixture: f, t: t, db: f.db, log: f.log, meters: f.meters})
	})
	t.Run("postgres", func(t *testing.T) {
		fact(t, onPostgres(t, pgtest.URL(t), 20))
	})
}

func onPostgres(t *testing.T, address string, patience int) *queue {
	t.Helper()
	f := newFixture(t)
	db, err := postgres.Open(t.Context(), postgres.Options{URL: address, Migrate: true, Patience: patience})
	require.NoError(t, err)
	log, stop := f.run(db)
	t.Cleanup(func() {
		require.NoError(t, stop())
		require.NoError(t, db.Close())
	})
	return &queue{fixture: f, t: t, db: db, log: log, meters: f.meters}
}

// queue is a log whose writer a test can hold, so that what it submits
// meanwhile forms one group, in order.
type queue struct {
	*fixture
	t       *testing.T
	db      store.DB
	log     *auditlog.Log
	meters  *metrics.Set
	callers sync.WaitGroup
	release func()
	queued  int
}

func (q *queue) hold() {
	q.t.Helper()
	hold, held := make(chan struct{}), make(chan struct{})
	q.release = sync.OnceFunc(func() { close(hold) })
	q.t.Cleanup(q.release) // whatever fails before
	q.callers.Go(func() {
		if err := q.log.Commit(q.t.Context(), func(context.Context, *store.Tx) ([]idp.Event, error) {
			close(held)
			<-hold
			return nil, nil
		}); err != nil {
			q.t.Error(err)
		}
	})
	<-held
}

// submit queues a change that makes an event of the agent; its error arrives in the channel.
func (q *queue) submit(agent string, change func(context.Context, *store.Tx) error) <-chan error {
	q.t.Helper()
	return q.queue(func() error {
		return q.log.Commit(q.t.Context(), func(ctx context.Context, tx *store.Tx) ([]idp.Event, error) {
			if err := change(ctx, tx); err != nil {
				return nil, err
			}
			return []idp.Event{event(agent)}, nil
		})
	})
}

// queue waits until what write submits is in line.
func (q *queue) queue(write func() error) <-chan error {
	q.t.Helper()
	done := make(chan error, 1)
	q.callers.Go(func() { done <- write() })
	q.queued++
	require.Eventually(q.t, func() bool { return q.meter("agentidp_audit_queue_length") == q.queued }, time.Minute, time.Millisecond)
	return done
}

// finish lets the writer go on and waits for every answer.
func (q *queue) finish() {
	q.release()
	q.callers.Wait()
	q.queued = 0
}

func (q *queue) meter(name string) int {
	var b bytes.Buffer
	q.meters.WritePrometheus(&b)
	found := regexp.MustCompile(`(?m)^` + name + ` (\d+)$`).FindSubmatch(b.Bytes())
	if found == nil {
		return 0
	}
	n, _ := strconv.Atoi(string(found[1])) // digits
	return n
}

// agents are those of the events, oldest first.
func (q *queue) agents() []string {
	q.t.Helper()
	var agents []string
	require.NoError(q.t, q.db.View(q.t.Context(), func(ctx context.Context, tx *store.Tx) error {
		rows, err := tx.Events.Range(ctx, store.AnyOrganization, 0, 1000)
		for _, row := range rows {
			agents = append(agents, row.AgentID)
		}
		return err
	}))
	return agents
}

func nothing(context.Context, *store.Tx) error { return nil }

func TestATurnIsShortAndNobodyLosesItsPlace(t *testing.T) {
	onBoth(t, func(t *testing.T, q *queue) {
		other, stop := q.run(q.db)
		q.hold()
		var want []string
		var answers []<-chan error
		for i := range 20 {
			want = append(want, fmt.Sprint(i))
			answers = append(answers, q.submit(want[i], func(context.Context, *store.Tx) error {
				time.Sleep(50 * time.Millisecond) // slow statements
				return nil
			}))
		}
		before := q.meter("agentidp_audit_commit_seconds_count")
		q.release()
		require.NoError(t, <-answers[0])
		require.NoError(t, other.Append(t.Context(), event("other")))
		q.callers.Wait()
		for _, answer := range answers[1:] {
			require.NoError(t, <-answer)
		}
		require.NoError(t, stop())
		require.GreaterOrEqual(t, q.meter("agentidp_audit_commit_seconds_count")-before, 4, "a second of work is no single turn: others get theirs in between")
		require.Zero(t, q.meter("agentidp_audit_queue_length"))
		agents := q.agents()
		at := slices.Index(agents, "other")
		require.GreaterOrEqual(t, at, 0)
		require.Equal(t, want, slices.Delete(agents, at, at+1))
	})
}

func TestAFailedStatementFailsItsOwnChangeOnly(t *testing.T) {
	onBoth(t, func(t *testing.T, q *queue) {
		q.hold()
		first, failing := q.submit("first", nothing), q.submit("failing", func(ctx context.Context, tx *store.Tx) error {
			if _, err := tx.Settings.PutIfAbsent(ctx, "failing", "x"); err != nil {
				return err
			}
			return apierr.New(apierr.StoreUnavailable, "no").WithCause(fmt.Errorf("test: %w", store.ErrStatement))
		})
		last := q.submit("last", nothing)
		admitted := make(chan error, 1)
		q.callers.Go(func() {
			_, err := q.log.Admit(t.Context(), store.Admission{ClientID: "none", AgentID: "nobody"}, event("admitted"), nil)
			admitted <- err
		})
		q.finish()
		for _, answer := range []<-chan error{first, last, admitted} {
			require.NoError(t, <-answer)
		}
		err := <-failing
		require.True(t, apierr.Is(err, apierr.AuditUnavailable), err)
		require.Equal(t, "audit_unavailable", apierr.From(err).Reason)
		require.Equal(t, []string{"first", "last"}, q.agents())
	})
}

func TestAnUnknownOutcomeIsNeverTriedAgain(t *testing.T) {
	f := newFixture(t)
	b := &broken{DB: f.db}
	log, stop := f.run(b)
	b.fail(errors.Join(store.ErrUnknown, store.ErrStatement))
	require.Equal(t, "outcome_unknown", apierr.From(log.Append(t.Context(), event("lost"))).Reason)
	b.fail(nil)
	require.NoError(t, stop())
	require.Empty(t, f.all())
}

// A row that somebody else holds costs the change that wants it, nobody else.
func TestAStatementThatTimesOutFailsItsOwnChangeOnly(t *testing.T) {
	address := pgtest.URL(t)
	q := onPostgres(t, address, 1)
	require.NoError(t, q.db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		return tx.Organizations.Insert(ctx, idp.Organization{ID: "held", Name: "Held", Plan: idp.PlanFree, CreatedAt: time.Now(), UpdatedAt: time.Now(), Revision: 1})
	}))
	conn, err := pgx.Connect(t.Context(), address)
	require.NoError(t, err)
	defer conn.Close(context.Background())
	for _, statement := range []string{"BEGIN", "SELECT 1 FROM organizations WHERE id = 'held' FOR UPDATE"} {
		_, err := conn.Exec(t.Context(), statement)
		require.NoError(t, err)
	}
	q.hold()
	first, failing := q.submit("first", nothing), q.submit("failing", func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Organizations.RaiseEpoch(ctx, "held")
		return err
	})
	last := q.submit("last", nothing)
	q.finish()
	require.NoError(t, <-first)
	require.NoError(t, <-last)
	require.True(t, apierr.Is(<-failing, apierr.AuditUnavailable))
	require.Equal(t, []string{"first", "last"}, q.agents())
}

// What shares a turn with an organization's plan is kept by the plan of its place in the log.
func TestAPlanCountsFromItsEventOn(t *testing.T) {
	onBoth(t, func(t *testing.T, q *queue) {
		o := idp.Organization{ID: "acme", Name: "acme", Plan: idp.PlanFree, CreatedAt: time.Now(), UpdatedAt: time.Now(), Revision: 1}
		tell := func(action idp.Action, metadata map[string]any, change func(context.Context, *store.Tx) error) {
			q.queue(func() error {
				return q.log.Commit(t.Context(), func(ctx context.Context, tx *store.Tx) ([]idp.Event, error) {
					return []idp.Event{{OrganizationID: o.ID, Action: action, Outcome: idp.Success, Metadata: metadata}}, change(ctx, tx)
				})
			})
		}
		plain := func() {
			e := event("agent")
			e.OrganizationID = o.ID
			q.queue(func() error { return q.log.Append(t.Context(), e) })
		}
		q.hold()
		plain()
		tell(idp.ActionOrganizationCreated, map[string]any{"plan": "free"}, func(ctx context.Context, tx *store.Tx) error { return tx.Organizations.Insert(ctx, o) })
		plain()
		tell(idp.ActionOrganizationUpdated, map[string]any{"planFrom": "free", "planTo": "custom"}, func(ctx context.Context, tx *store.Tx) error {
			o.Plan = idp.PlanCustom
			return tx.Organizations.Update(ctx, o)
		})
		plain()
		q.finish()
		require.NoError(t, q.db.View(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			classes, err := tx.Retention.Classes(ctx, 0, 9)
			require.Equal(t, map[int64]store.Class{
				0: store.ClassCustom, 1: store.ClassRecord, 2: store.ClassFree, 3: store.ClassRecord, 4: store.ClassCustom,
			}, classes)
			return err
		}))
	})
}

// Events before the one that tells a plan, in one change, would be kept by a plan
// that the log has not told yet: such a change is a mistake of ours, and is not made.
func TestNoChangeTellsAPlanLate(t *testing.T) {
	onBoth(t, func(t *testing.T, q *queue) {
		o := idp.Organization{ID: "acme", Name: "acme", Plan: idp.PlanCustom, CreatedAt: time.Now(), UpdatedAt: time.Now(), Revision: 1}
		err := q.log.Commit(t.Context(), func(ctx context.Context, tx *store.Tx) ([]idp.Event, error) {
			before := event("agent")
			before.OrganizationID = o.ID
			told := idp.Event{OrganizationID: o.ID, Action: idp.ActionOrganizationCreated, Outcome: idp.Success, Metadata: map[string]any{"plan": "custom"}}
			return []idp.Event{before, told}, tx.Organizations.Insert(ctx, o)
		})
		require.True(t, apierr.Is(err, apierr.Internal), err)
		require.NoError(t, q.db.View(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Organizations.Get(ctx, o.ID)
			require.ErrorIs(t, err, idp.ErrNotFound)
			return nil
		}))
	})
}
