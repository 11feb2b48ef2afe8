package registry

import (
	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/shared/capability"
)

// Actor is who asks, as authentication and policy established it.
type Actor struct {
	AgentID        string
	OrganizationID string
	ClientID       string
	Capabilities   capability.Set // of the token's scope, not of the agent
	Only           []string       // JSON names of the members the actor may touch; nil: all
	Origin         idp.Origin
	Idempotency    *Idempotency // nil without an Idempotency-Key
}

// Idempotency identifies a POST that may be repeated.
type Idempotency struct {
	Key      string
	Path     string
	BodyHash [32]byte // SHA-256 of the body as received
}

// Event is an event of something the actor did, shown in the organization's log.
func (a *Actor) Event(action idp.Action, organizationID string, metadata map[string]any) idp.Event {
	return idp.Event{
		OrganizationID: organizationID, AgentID: a.AgentID, Action: action, Outcome: idp.Success,
		Origin: a.Origin, Metadata: metadata,
	}
}
