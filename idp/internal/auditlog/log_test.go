package auditlog_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/auditlog"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/apierr"
)

func TestConcurrentWritersGetOneGaplessLog(t *testing.T) {
	f := newFixture(t)
	var writers sync.WaitGroup
	for w := range 16 {
		writers.Go(func() {
			for i := range 20 {
				require.NoError(t, f.log.Append(t.Context(), event(fmt.Sprintf("%d-%d", w, i))))
			}
		})
	}
	writers.Wait()
	events := f.all()
	require.Len(t, events, 320)
	seen := map[string]bool{}
	for i, e := range events {
		require.EqualValues(t, i, e.Sequence)
		seen[e.AgentID] = true
	}
	require.Len(t, seen, 320)
	f.close()
	f.open()
	report := f.verify()
	require.Nil(t, report.Problem)
	require.EqualValues(t, 320, report.Events)
	require.Positive(t, report.Checkpoints)
}

func TestAChangeAndItsEventsStandOrFallTogether(t *testing.T) {
	f := newFixture(t)
	put := func(name string, events []idp.Event, err error) error {
		return f.log.Commit(t.Context(), func(ctx context.Context, tx *store.Tx) ([]idp.Event, error) {
			if _, putErr := tx.Settings.PutIfAbsent(ctx, name, "x"); putErr != nil {
				return nil, putErr
			}
			return events, err
		})
	}
	kept := func(name string) (kept bool) {
		require.NoError(t, f.db.View(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Settings.Get(ctx, name)
			kept = err == nil
			return nil
		}))
		return kept
	}

	require.NoError(t, put("good", []idp.Event{event("1"), event("2")}, nil))
	refusal := apierr.New(apierr.InvalidState, "no").WithReason("refused")
	require.ErrorIs(t, put("refused", []idp.Event{event("3")}, refusal), refusal)
	require.Error(t, put("unencodable", []idp.Event{{OrganizationID: "o", Action: "a.b", Outcome: idp.Success, Metadata: map[string]any{"x": struct{}{}}}}, nil))
	require.Error(t, put("incomplete", []idp.Event{{Action: "a.b"}}, nil))
	err := f.log.Commit(t.Context(), func(ctx context.Context, tx *store.Tx) ([]idp.Event, error) {
		if _, err := tx.Settings.PutIfAbsent(ctx, "panicked", "x"); err != nil {
			return nil, err
		}
		panic("a mistake in a use case")
	})
	require.True(t, apierr.Is(err, apierr.Internal), err)

	require.True(t, kept("good"))
	for _, name := range []string{"refused", "unencodable", "incomplete", "panicked"} {
		require.False(t, kept(name), name)
	}
	require.Len(t, f.all(), 2)
}

func TestOneBadChangeInAGroupHurtsNobodyElse(t *testing.T) {
	f := newFixture(t)
	// The first change holds the writer, so that the others form one group.
	hold, held := make(chan struct{}), make(chan struct{})
	var callers sync.WaitGroup
	callers.Go(func() {
		require.NoError(t, f.log.Commit(t.Context(), func(context.Context, *store.Tx) ([]idp.Event, error) {
			close(held)
			<-hold
			return nil, nil
		}))
	})
	<-held
	var mu sync.Mutex
	outcomes := map[int]error{}
	for i := range 50 {
		callers.Go(func() {
			err := f.log.Commit(t.Context(), func(context.Context, *store.Tx) ([]idp.Event, error) {
				if i%5 == 0 {
					return []idp.Event{event("never")}, errors.New("refused")
				}
				return []idp.Event{event(fmt.Sprint(i))}, nil
			})
			mu.Lock()
			defer mu.Unlock()
			outcomes[i] = err
		})
	}
	close(hold)
	callers.Wait()
	for i, err := range outcomes {
		require.Equal(t, i%5 == 0, err != nil, i)
	}
	require.Len(t, f.all(), 40)
}

func TestAdmissionsAreCountedAndAudited(t *testing.T) {
	f := newFixture(t)
	g := f.agent()
	admission := store.Admission{ClientID: g.Credential.ClientID, AgentID: g.Agent.ID, Gate: g.Version(), KeyID: "signer", At: idp.Time(time.Now()), MonthlyLimit: 10}
	verdicts := map[store.AdmissionResult]int{}
	var mu sync.Mutex
	var callers sync.WaitGroup
	for range 30 {
		callers.Go(func() {
			verdict, err := f.log.Admit(t.Context(), admission, event(g.Agent.ID), nil)
			require.NoError(t, err)
			mu.Lock()
			defer mu.Unlock()
			verdicts[verdict]++
		})
	}
	callers.Wait()
	require.Equal(t, map[store.AdmissionResult]int{store.Admitted: 10, store.QuotaExceeded: 20}, verdicts)
	require.Len(t, f.all(), 10)

	admission.Gate.Rev.Agent, admission.MonthlyLimit = 7, 0
	verdict, err := f.log.Admit(t.Context(), admission, event(g.Agent.ID), nil)
	require.NoError(t, err)
	require.Equal(t, store.GateChanged, verdict)
	require.Len(t, f.all(), 10)
}

// broken is a store whose writes fail on demand.
type broken struct {
	store.DB
	mu  sync.Mutex
	err error
}

func (b *broken) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err = err
}

func (b *broken) Update(ctx context.Context, fn func(context.Context, *store.Tx) error) error {
	b.mu.Lock()
	err := b.err
	b.mu.Unlock()
	if err != nil {
		return err
	}
	return b.DB.Update(ctx, fn)
}

func TestWhenTheStoreFailsNothingHappensAndTheAnswerIs503(t *testing.T) {
	f := newFixture(t)
	b := &broken{DB: f.db}
	log, stop := f.run(b)
	require.NoError(t, log.Append(t.Context(), event("before")))
	b.fail(store.ErrUnavailable)
	for range 3 {
		err := log.Append(t.Context(), event("lost"))
		require.True(t, apierr.Is(err, apierr.AuditUnavailable), err)
		require.Positive(t, apierr.From(err).RetryAfter)
		_, err = log.Admit(t.Context(), store.Admission{}, event("lost"), nil)
		require.True(t, apierr.Is(err, apierr.AuditUnavailable), err)
	}
	require.Equal(t, "audit_unavailable", apierr.From(log.Append(t.Context(), event("lost"))).Reason)
	b.fail(fmt.Errorf("%w: the line was cut", store.ErrUnknown))
	require.Equal(t, "outcome_unknown", apierr.From(log.Append(t.Context(), event("lost"))).Reason, "nobody is told that nothing was done")
	b.fail(errors.New("a fault nobody foresaw"))
	require.True(t, apierr.Is(log.Append(t.Context(), event("lost")), apierr.AuditUnavailable))
	b.fail(nil)
	require.NoError(t, log.Append(t.Context(), event("after")), "it heals without a restart")
	require.NoError(t, stop())
	require.True(t, apierr.Is(log.Append(t.Context(), event("stopped")), apierr.AuditUnavailable))
	require.Error(t, log.Ready(t.Context()))
	require.Len(t, f.all(), 2)
}

func TestACallerWhoLeftBeforeTheCommitIsNotActedFor(t *testing.T) {
	f := newFixture(t)
	hold, held := make(chan struct{}), make(chan struct{})
	var callers sync.WaitGroup
	callers.Go(func() {
		require.NoError(t, f.log.Commit(t.Context(), func(context.Context, *store.Tx) ([]idp.Event, error) {
			close(held)
			<-hold
			return nil, nil
		}))
	})
	<-held
	ctx, cancel := context.WithCancel(t.Context())
	var leavers sync.WaitGroup
	leavers.Go(func() { require.Error(t, f.log.Append(ctx, event("left"))) })
	leavers.Go(func() {
		_, err := f.log.Admit(ctx, store.Admission{}, event("left"), nil)
		require.Error(t, err)
	})
	eventually(t, "both wait behind the writer", func() bool {
		var b bytes.Buffer
		f.meters.WritePrometheus(&b)
		return strings.Contains(b.String(), "agentidp_audit_queue_length 2\n")
	})
	cancel()
	leavers.Wait()
	close(hold)
	callers.Wait()
	require.NoError(t, f.log.Append(t.Context(), event("stayed")))
	require.Len(t, f.all(), 1)
}

func TestFoldsAndCountsAreWrittenAtStop(t *testing.T) {
	f := newFixture(t)
	refusal := idp.Event{OrganizationID: idp.OperatorOrganization, Action: idp.ActionTokenRefused, Outcome: idp.Failure, Reason: "client_unknown", Origin: idp.Origin{IPAddress: "192.0.2.1"}}
	for range 50 {
		require.NoError(t, f.log.Refuse(t.Context(), refusal))
	}
	for range 7 {
		f.log.Count(idp.Event{OrganizationID: idp.OperatorOrganization, Action: idp.ActionRequestRateLimited, Outcome: idp.Denied, Reason: "rate_limited"})
	}
	require.Len(t, f.all(), 20)
	f.close()
	f.open()
	counts := map[string]any{}
	for _, e := range f.all()[20:] {
		counts[e.Action] = e.Metadata["count"]
	}
	require.Equal(t, map[string]any{"token.refused": 30.0, "request.rate_limited": 7.0}, counts)
	require.Nil(t, f.verify().Problem)
}

func TestQueries(t *testing.T) {
	f := newFixture(t)
	f.append(25)
	require.NoError(t, f.log.Append(t.Context(), idp.Event{OrganizationID: "acme", AgentID: "theirs", Action: idp.ActionTokenRefused, Outcome: idp.Denied, Reason: "x"}))
	list := func(q auditlog.Query) auditlog.Page {
		q.Limit = 100
		page, err := f.log.List(t.Context(), q)
		require.NoError(t, err)
		return page
	}
	require.Len(t, list(auditlog.Query{}).Data, 26)
	require.Len(t, list(auditlog.Query{Filter: auditlog.Filter{OrganizationID: "acme"}}).Data, 1)
	require.Len(t, list(auditlog.Query{Filter: auditlog.Filter{AgentID: "agent-3"}}).Data, 1)
	require.Len(t, list(auditlog.Query{Filter: auditlog.Filter{Outcome: idp.Denied}}).Data, 1)
	require.Len(t, list(auditlog.Query{Filter: auditlog.Filter{Action: idp.ActionTokenRefused, Outcome: idp.Success}}).Data, 0)
	require.Len(t, list(auditlog.Query{Filter: auditlog.Filter{From: time.Now().Add(time.Hour)}}).Data, 0)
	require.Len(t, list(auditlog.Query{Filter: auditlog.Filter{To: time.Now().Add(time.Hour)}}).Data, 26)

	events := f.all()
	body, err := f.log.Get(t.Context(), "", events[3].EventID)
	require.NoError(t, err)
	require.Contains(t, string(body), `"sequence":3`)
	_, err = f.log.Get(t.Context(), "acme", events[3].EventID)
	require.True(t, apierr.Is(err, apierr.NotFound), err)
	for _, cursor := range []string{"x", "czA", "cy0x", "!!!", "czE=", "czAx"} {
		_, err := f.log.List(t.Context(), auditlog.Query{Cursor: cursor, Limit: 1})
		require.True(t, apierr.Is(err, apierr.ValidationFailed), cursor)
	}
}
