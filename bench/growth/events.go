package growth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sentryagent/agentidp/bench/load"
	"github.com/sentryagent/agentidp/bench/result"
	"github.com/sentryagent/agentidp/bench/seed"
	"github.com/sentryagent/agentidp/deploy/dev/stack"
)

// The scenarios of Events. The subjects are what is asked for.
const (
	List   = "growth-audit-list"   // a page of 100 events by filter
	Export = "growth-audit-export" // a verifiable export of about 1000 events
	Proof  = "growth-audit-proof"  // inclusion, consistency
)

// The seeded log: its events lie three months back at most.
const (
	organizations = 2000
	months        = 3
	exported      = 1000
)

// Events measures audit queries by the number of events: the parameter events.
// One connection asks, one request after the other.
func (o *Options) Events(ctx context.Context, sizes []int64) (found []result.Row, err error) {
	last := time.Now()
	first := last.AddDate(0, -months, 0)
	sites, err := o.sites(ctx, "events", sizes, func(store *seed.Store, s *site) error {
		err := store.Events(ctx, seed.Events{Count: s.size, Organizations: organizations, First: first, Last: last, Progress: o.progress("events")})
		if err != nil {
			return err
		}
		// One who sees the largest organization only.
		return store.Agents(ctx, seed.Agents{
			Count: 1, Organization: seed.OrganizationAt(0), Capabilities: []string{"audit:read"}, Pepper: seed.Pepper(s.Stack), Now: last,
		})
	})
	defer func() { err = errors.Join(err, closeAll(sites)) }()
	if err != nil {
		return nil, err
	}
	var all []*series
	var visits []func() error
	for _, s := range sites {
		questions, err := s.questions(ctx, first, last)
		if err != nil {
			return nil, err
		}
		for _, q := range questions {
			q.into = newSeries(q.scenario, q.subject, "events", s.size)
			all = append(all, q.into)
		}
		visits = append(visits, func() error { return s.askAll(ctx, questions, o.Slice) })
	}
	if err := o.rounds(ctx, "events", visits); err != nil {
		return nil, err
	}
	return rows(all...)
}

// question is one request of the audit API.
type question struct {
	scenario, subject string
	path              string
	tenant            bool // asked by the largest organization's agent, not the operator's
	into              *series
}

// questions are the lists by every filter and their mixes, from the commonest to
// the rarest, an export, and proofs.
func (s *site) questions(ctx context.Context, first, last time.Time) ([]*question, error) {
	var page struct {
		NextCursor string `json:"nextCursor"`
	}
	if err := s.get(ctx, "/api/v1/audit?limit=100", &page); err != nil {
		return nil, err
	}
	newest, err := s.newest(ctx)
	if err != nil {
		return nil, err
	}
	span := last.Sub(first)
	at := func(share float64) string {
		return first.Add(time.Duration(share * float64(span))).UTC().Format("2006-01-02T15:04:05.000Z")
	}
	day := url.Values{"from": {at(0.5)}, "to": {at(0.5 + float64(24*time.Hour)/float64(span))}}.Encode()
	busy, seldom := seed.AgentAt(0, 0), seed.AgentAt(0, 19_000)
	var questions []*question
	for _, q := range []struct{ subject, filter string }{
		{"no filter", ""}, {"a later page", "cursor=" + page.NextCursor},
		{"action, 55 %", "action=token.issued"}, {"action, 0.001 %", "action=policy.reloaded"}, {"action, none", "action=agent.imagined"},
		{"outcome, 10 %", "outcome=denied"}, {"outcome, 1 %", "outcome=failure"},
		{"agent, busiest", "agentId=" + busy}, {"agent, seldom seen", "agentId=" + seldom}, {"agent and action", "agentId=" + busy + "&action=agent.updated"},
		{"a day", day}, {"a day and action", day + "&action=token.revoked"}, {"a day and agent", day + "&agentId=" + busy},
	} {
		questions = append(questions, &question{scenario: List, subject: q.subject, path: "/api/v1/audit?limit=100&" + q.filter})
	}
	window := url.Values{"format": {"ndjson"}, "from": {at(0.5)}, "to": {at(0.5 + exported/float64(s.size))}}.Encode()
	return append(questions,
		&question{scenario: List, subject: "organization", path: "/api/v1/audit?limit=100", tenant: true},
		&question{scenario: List, subject: "organization and action", path: "/api/v1/audit?limit=100&action=policy.reloaded", tenant: true},
		&question{scenario: Export, subject: "1000 events", path: "/api/v1/audit/export?" + window},
		&question{scenario: Proof, subject: "inclusion", path: fmt.Sprintf("/api/v1/audit/proof/inclusion?leafIndex=%d&treeSize=%d", s.size/3, newest)},
		&question{scenario: Proof, subject: "consistency", path: fmt.Sprintf("/api/v1/audit/proof/consistency?first=%d&second=%d", s.size/3, newest)},
	), nil
}

// askAll gives each question its share of the slice.
func (s *site) askAll(ctx context.Context, questions []*question, slice time.Duration) error {
	credential, err := s.Administrator()
	if err != nil {
		return err
	}
	operator, err := s.bearer(ctx, credential)
	if err != nil {
		return err
	}
	c := seed.ClientAt(0)
	tenant, err := s.bearer(ctx, stack.Credential{ClientID: c.ClientID, ClientSecret: c.ClientSecret})
	if err != nil {
		return err
	}
	for _, q := range questions {
		authorization := operator
		if q.tenant {
			authorization = tenant
		}
		scenario := load.Scenario{Name: q.scenario, Addr: s.IdP, Want: http.StatusOK, Fill: func(request *fasthttp.Request, _, _ int) {
			request.SetRequestURI(q.path)
			request.Header.Set("Authorization", authorization)
		}}
		q.into.add(load.Run(ctx, scenario, 1, slice/time.Duration(len(questions))), nil)
	}
	return nil
}
