package idp

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/sentryagent/agentidp/shared/capability"
)

// AgentType is a label for people; authority comes from capabilities alone.
type AgentType string

// The agent types.
const (
	TypeScreener      AgentType = "screener"
	TypeClassifier    AgentType = "classifier"
	TypeOrchestrator  AgentType = "orchestrator"
	TypeExtractor     AgentType = "extractor"
	TypeSummarizer    AgentType = "summarizer"
	TypeRouter        AgentType = "router"
	TypeMonitor       AgentType = "monitor"
	TypeCustom        AgentType = "custom"
	TypeAdministrator AgentType = "administrator"
	TypeSidecar       AgentType = "sidecar"
)

// AgentTypes lists every type in the order the documentation uses.
var AgentTypes = []AgentType{TypeScreener, TypeClassifier, TypeOrchestrator, TypeExtractor, TypeSummarizer, TypeRouter, TypeMonitor, TypeCustom, TypeAdministrator, TypeSidecar}

// CheckAgentType demands one of AgentTypes.
func CheckAgentType(t AgentType) []Rule { return oneOf("agentType", t, AgentTypes) }

// Environment is where an agent is deployed.
type Environment string

// Environments lists every deployment environment.
var Environments = []Environment{"development", "staging", "production"}

// CheckEnvironment demands one of Environments.
func CheckEnvironment(e Environment) []Rule { return oneOf("deploymentEnv", e, Environments) }

// Status is a state of the agent's life.
type Status string

// active ⇄ suspended; either → decommissioned, which is final.
const (
	Active         Status = "active"
	Suspended      Status = "suspended"
	Decommissioned Status = "decommissioned"
)

// Statuses lists every state.
var Statuses = []Status{Active, Suspended, Decommissioned}

// CheckStatus demands one of Statuses.
func CheckStatus(s Status) []Rule { return oneOf("status", s, Statuses) }

// CheckSwitch demands a status that an update may ask for; decommissioning has its own operation.
func CheckSwitch(s Status) []Rule { return oneOf("status", s, []Status{Active, Suspended}) }

// CanBecome reports whether the status machine has the edge; staying is allowed
// except in the final state.
func (s Status) CanBecome(next Status) bool {
	switch s {
	case Active, Suspended:
		return next == Active || next == Suspended || next == Decommissioned
	default:
		return false
	}
}

// KillsTokens reports whether moving from s to next ends the agent's live tokens.
func (s Status) KillsTokens(next Status) bool { return s != next && next != Active }

// Agent is a registered identity.
type Agent struct {
	ID             string // UUID, immutable
	OrganizationID string
	Email          string // lower-cased; unique in the organization among agents not decommissioned
	Type           AgentType
	Version        string // semantic version
	Capabilities   capability.Set
	Owner          string
	Environment    Environment
	Status         Status
	Metadata       json.RawMessage // a JSON object, compacted; nil when there is none
	JWKS           json.RawMessage // the agent's own public keys for private_key_jwt (RFC 7517); nil when there are none
	JWKSURI        string          // where to fetch them instead; at most one of the two is set
	CreatedAt      time.Time
	UpdatedAt      time.Time
	LastAuthAt     time.Time // zero until the first token; written at most once a minute
	Epoch          int64     // revocation epoch: tokens minted under a lower one are dead
	Revision       int64     // raised by every change but LastAuthAt; the ETag
}

// operatorOnly are the capabilities that no agent outside the operator's organization can hold.
var operatorOnly = capability.Set{"keys:*", "organizations:*", "policies:write"}

// OperatorOnly lists the members of set that only the operator's agents may hold:
// everything that overlaps keys:*, organizations:* or policies:write.
func OperatorOnly(set capability.Set) capability.Set {
	found := capability.Set{}
	for _, c := range set {
		if slices.ContainsFunc(operatorOnly, func(o capability.Capability) bool { return o.Covers(c) || c.Covers(o) }) {
			found = append(found, c)
		}
	}
	return found
}

// AdministratorCapabilities is what the first administrator of an organization
// holds: every reserved capability that the organization's agents may hold.
func AdministratorCapabilities(organizationID string) capability.Set {
	if organizationID == OperatorOrganization {
		return capability.ReservedAll()
	}
	set := capability.Set{}
	for _, c := range capability.ReservedAll() {
		if len(OperatorOnly(capability.Set{c})) == 0 {
			set = append(set, c)
		}
	}
	set = append(set, "policies:read")
	slices.Sort(set)
	return set
}

// Administrator reports whether the agent can, now, restore everything else in
// its organization: it is active and holds all administrator capabilities. The
// label agentType plays no part.
func (a *Agent) Administrator() bool {
	return a.Status == Active && a.Capabilities.CoversAll(AdministratorCapabilities(a.OrganizationID))
}

// CutsTokens reports whether the change from a to next ends the agent's live
// tokens: it loses its status, or a capability that a token may carry as scope.
func (a *Agent) CutsTokens(next *Agent) bool {
	return a.Status.KillsTokens(next.Status) || !next.Capabilities.CoversAll(a.Capabilities)
}

// StopsAdministrating reports whether the change from a to next takes an
// administrator out of its organization.
func (a *Agent) StopsAdministrating(next *Agent) bool {
	return a.Administrator() && !next.Administrator()
}
