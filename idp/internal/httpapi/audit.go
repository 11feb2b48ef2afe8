package httpapi

import (
	"context"
	"math"
	"net/http"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/auditlog"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

// visibleLog is the organization whose events the caller sees: its own, and
// for the operator the whole log.
func (c *call) visibleLog() string {
	if c.organizationID == idp.OperatorOrganization {
		return store.AnyOrganization
	}
	return c.organizationID
}

// auditFilter reads what narrows the list and the export alike. Whose events
// they are is not asked for: see visibleLog.
func (q *query) auditFilter() auditlog.Filter {
	f := auditlog.Filter{
		AgentID: q.text("agentId"), TargetAgentID: q.text("targetAgentId"), Action: idp.Action(q.text("action")), Outcome: idp.Outcome(q.text("outcome")),
		From: q.instant("from"), To: q.instant("to"), Text: q.text("q"),
	}
	for _, rule := range f.Check() {
		q.breaks(rule.Field, rule.Text)
	}
	return f
}

// parseAuditQuery reads which page of the audit list is asked for.
func parseAuditQuery(raw string) (auditlog.Query, error) {
	q := parseQuery(raw)
	ask := auditlog.Query{Filter: q.auditFilter(), Cursor: q.text("cursor"), Limit: int(q.integer("limit", 1, maxLimit, defaultLimit))}
	return ask, q.done()
}

func (a *API) listAudit(ctx context.Context, c *call) error {
	ask, err := parseAuditQuery(c.rawQuery())
	if err != nil {
		return err
	}
	ask.OrganizationID = c.visibleLog()
	page, err := a.Log.List(ctx, ask)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, page)
}

// getAuditEvent serves the leaf's bytes as they were hashed.
func (a *API) getAuditEvent(ctx context.Context, c *call) error {
	ids, err := c.uuids("eventId")
	if err == nil {
		err = c.noQuery()
	}
	if err != nil {
		return err
	}
	event, err := a.Log.Get(ctx, c.visibleLog(), ids[0])
	if err != nil {
		return err
	}
	c.write(http.StatusOK, "application/json", event)
	return nil
}

func (a *API) getAuditCheckpoint(ctx context.Context, c *call) error {
	if err := c.noQuery(); err != nil {
		return err
	}
	note, err := a.Log.Checkpoint(ctx)
	if err != nil {
		return err
	}
	c.write(http.StatusOK, "text/plain; charset=utf-8", note)
	return nil
}

func (a *API) getInclusionProof(ctx context.Context, c *call) error {
	q := c.query()
	index, size := q.integer("leafIndex", 0, math.MaxInt64-1, -1), q.integer("treeSize", 1, math.MaxInt64-1, 0)
	q.require("leafIndex")
	if err := q.done(); err != nil {
		return err
	}
	proof, err := a.Log.Inclusion(ctx, index, size)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, proof)
}

func (a *API) getConsistencyProof(ctx context.Context, c *call) error {
	q := c.query()
	first, second := q.integer("first", 1, math.MaxInt64-1, 0), q.integer("second", 1, math.MaxInt64-1, 0)
	q.require("first", "second")
	if err := q.done(); err != nil {
		return err
	}
	proof, err := a.Log.Consistency(ctx, first, second)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, proof)
}
