package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/auditlog"
	"github.com/sentryagent/agentidp/shared/apierr"
)

// sidecar is what a sidecar says about itself in request headers.
type sidecar struct {
	id, name, version, policyRevision string
}

const maxLabel = 128

// sidecar reads the X-Sidecar fields. The id may be absent unless it is needed.
func (c *call) sidecar(needed bool) (sidecar, error) {
	var broken []apierr.Field
	s := sidecar{id: c.header("X-Sidecar-Id"), name: c.header("X-Sidecar-Name"), version: c.header("X-Sidecar-Version"), policyRevision: c.header("X-Sidecar-Policy-Revision")}
	if (s.id != "" || needed) && !idp.IsUUID(s.id) {
		broken = append(broken, apierr.Field{Field: "X-Sidecar-Id", Rule: idp.RuleUUID})
	}
	for name, value := range map[string]string{"X-Sidecar-Name": s.name, "X-Sidecar-Version": s.version, "X-Sidecar-Policy-Revision": s.policyRevision} {
		if value != "" && !visible(value, maxLabel) {
			broken = append(broken, apierr.Field{Field: name, Rule: "must be at most 128 visible ASCII characters"})
		}
	}
	if broken != nil {
		return sidecar{}, apierr.Invalid(broken...)
	}
	return s, nil
}

// ingestDecisions takes a batch into the log of the sidecar's organization.
func (a *API) ingestDecisions(ctx context.Context, c *call) error {
	if err := c.noQuery(); err != nil {
		return err
	}
	s, err := c.sidecar(true)
	if err != nil {
		return err
	}
	leave, err := a.ingesting(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if err := c.inflate(decisionBody.limit); err != nil {
		return err
	}
	ingested, err := a.Log.Ingest(ctx, auditlog.Stream{
		SidecarID: s.id, AgentID: c.agentID, OrganizationID: c.organizationID, Name: s.name, Version: s.version, PolicyRevision: s.policyRevision,
	}, c.body)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, ingested)
}

const (
	maxIngests = 2           // batches that are inflated and written at once
	ingestWait = time.Second // for one of these places
)

// ingesting waits a moment for a place; leave gives it back.
func (a *API) ingesting(ctx context.Context) (leave func(), err error) {
	patience := time.NewTimer(ingestWait)
	defer patience.Stop()
	select {
	case a.ingests <- struct{}{}:
		return func() { <-a.ingests }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-patience.C:
		return nil, apierr.New(apierr.Overloaded, "too many batches are being ingested").WithReason("ingest_busy").WithRetryAfter(time.Second)
	}
}
