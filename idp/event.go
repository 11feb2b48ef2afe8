package idp

import "time"

// Outcome says how an audited action ended.
type Outcome string

// The outcomes.
const (
	Success Outcome = "success"
	Failure Outcome = "failure"
	Denied  Outcome = "denied"
)

// Action names what happened: dotted, noun first.
type Action string

// The actions of the audit log.
const (
	ActionOrganizationCreated    Action = "organization.created"
	ActionOrganizationUpdated    Action = "organization.updated"
	ActionAgentCreated           Action = "agent.created"
	ActionAgentUpdated           Action = "agent.updated"
	ActionAgentSuspended         Action = "agent.suspended"
	ActionAgentReactivated       Action = "agent.reactivated"
	ActionAgentDecommissioned    Action = "agent.decommissioned"
	ActionCredentialCreated      Action = "credential.created"
	ActionCredentialRotated      Action = "credential.rotated"
	ActionCredentialRevoked      Action = "credential.revoked"
	ActionTokenIssued            Action = "token.issued"
	ActionTokenRefused           Action = "token.refused"
	ActionTokenRevoked           Action = "token.revoked"
	ActionRevocationCreated      Action = "revocation.created"
	ActionRequestDenied          Action = "request.denied"          // a management call refused by policy or use case
	ActionRequestUnauthenticated Action = "request.unauthenticated" // a management call without a usable token
	ActionRequestRateLimited     Action = "request.rate_limited"    // summary, one a minute
	ActionDecisionAllowed        Action = "decision.allowed"
	ActionDecisionDenied         Action = "decision.denied"
	ActionDecisionError          Action = "decision.error"
	ActionDecisionGap            Action = "decision.gap"
	ActionCredentialImported     Action = "credential.imported"
	ActionCredentialUpgraded     Action = "credential.upgraded"
	ActionCredentialExpiring     Action = "credential.expiring"
	ActionKeyCreated             Action = "key.created"
	ActionKeyImported            Action = "key.imported"
	ActionKeyScheduled           Action = "key.scheduled"
	ActionKeyActivated           Action = "key.activated"
	ActionKeyRemoved             Action = "key.removed"
	ActionAuditExported          Action = "audit.exported"
	ActionAuditPruned            Action = "audit.pruned" // retention took the events of a class and a month
	ActionAdministratorBootstrap Action = "administrator.bootstrapped"
	ActionAdministratorReset     Action = "administrator.reset"
	ActionPolicyReloaded         Action = "policy.reloaded"
	ActionStoreRestored          Action = "store.restored"
)

// Event is one entry of the audit log. Its RFC 8785 encoding, as served, is a
// leaf of the RFC 6962 tree; Sequence is the leaf index, from 0.
type Event struct {
	ID             string // UUID, set by the log
	Sequence       int64  // set by the log at commit
	OrganizationID string // whose log shows it
	AgentID        string // who acted; empty when unknown
	Action         Action
	Outcome        Outcome
	Reason         string // lower_snake; empty on success
	Origin
	// Metadata holds only strings, bools, int64/int, float64, []string, []any and map[string]any of these.
	Metadata  map[string]any
	Timestamp time.Time // set by the log
}
