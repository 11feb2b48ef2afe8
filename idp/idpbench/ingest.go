package idpbench

import (
	"context"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/auditlog"
)

// SidecarAgent is the agent as which all sidecars of the benchmark ship.
const SidecarAgent = "6f1c0d8e-3c1b-4f6e-9a55-0f6c6f0b7a11"

// Ingest returns once a batch of that sidecar's decisions, NDJSON unzipped, is
// durable, and says how many of them were new. A batch may be repeated. It is
// safe for concurrent use.
func (l *Log) Ingest(ctx context.Context, sidecar string, batch []byte) (fresh int, err error) {
	done, err := l.log.Ingest(ctx, auditlog.Stream{SidecarID: sidecar, AgentID: SidecarAgent, OrganizationID: idp.OperatorOrganization}, batch)
	return done.Ingested, err
}
