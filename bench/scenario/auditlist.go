package scenario

import (
	"context"
	"errors"
	"time"

	"github.com/sentryagent/agentidp/bench/lab"
	"github.com/sentryagent/agentidp/bench/result"
	"github.com/sentryagent/agentidp/bench/seed"
	"github.com/sentryagent/agentidp/deploy/dev/stack"
)

const (
	listedEvents = 100_000
	quickEvents  = 10_000
)

// queries of the audit log, as an operator makes them.
var queries = []struct{ subject, query string }{
	{"newest", ""},
	{"action", "&action=token.issued"},
	{"rare-action", "&action=credential.rotated"},
	{"outcome", "&outcome=denied"},
	{"nothing", "&to=2000-01-01T00:00:00Z"},
}

// auditList asks for pages of a long log, one at a time. `make bench-growth` does
// it at up to 10⁷ events.
func auditList(ctx context.Context, r *Run) ([]result.Row, error) {
	if err := r.Focus(ctx, lab.IdP); err != nil {
		return nil, err
	}
	count := int64(listedEvents)
	if r.Quick {
		count = quickEvents
	}
	s, token, err := r.longLog(ctx, count)
	if err != nil {
		return nil, err
	}
	defer s.StopIdP() // Close says what went wrong
	at := server{name: "idp", addr: s.IdP, pids: func() []int { pid, _ := s.PIDs(); return []int{pid} }, metrics: func() string { return s.IdP }}
	var subjects []*subject
	for _, q := range queries {
		params := map[string]float64{"events": float64(count), "limit": 100}
		subjects = append(subjects, newSubject("audit-list", q.subject, params, func(ctx context.Context) (measured, error) {
			return r.closed(ctx, at, get("/api/v1/audit?limit=100"+q.query, token), 1)
		}))
	}
	return r.interleave(ctx, r.Rounds, subjects...)
}

// longLog runs an IdP on a log of so many events, and its administrator's token.
func (r *Run) longLog(ctx context.Context, count int64) (*stack.Stack, string, error) {
	began := time.Now()
	s, err := r.Spare(ctx)
	if err != nil {
		return nil, "", err
	}
	start := func() error { return lab.On(r.Servers, func() error { return s.StartIdP(ctx) }) }
	if err := errors.Join(start(), s.StopIdP()); err != nil { // the first start makes the tables
		return nil, "", err
	}
	store, err := seed.Open(ctx, seed.Address(s))
	if err != nil {
		return nil, "", err
	}
	now := time.Now()
	events := seed.Events{Count: count, Organizations: 100, First: now.AddDate(0, -1, 0), Last: now}
	if err := errors.Join(store.Events(ctx, events), store.Close()); err != nil {
		return nil, "", err
	}
	r.Note("%d events in %s", count, time.Since(began).Round(time.Millisecond))
	if err := start(); err != nil {
		return nil, "", err
	}
	credential, err := s.Administrator()
	if err != nil {
		return nil, "", err
	}
	token, err := s.Config(credential).Token(ctx)
	if err != nil {
		return nil, "", err
	}
	return s, token.AccessToken, nil
}
