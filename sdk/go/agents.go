package agentidp

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"
)

// Agent is a registered identity.
type Agent struct {
	AgentID        string          `json:"agentId"`
	OrganizationID string          `json:"organizationId"`
	Email          string          `json:"email"`
	AgentType      AgentType       `json:"agentType"`
	Version        string          `json:"version"`
	Capabilities   []string        `json:"capabilities"`
	Owner          string          `json:"owner"`
	DeploymentEnv  DeploymentEnv   `json:"deploymentEnv"`
	Status         AgentStatus     `json:"status"`
	Metadata       json.RawMessage `json:"metadata,omitempty"` // an object
	JWKS           json.RawMessage `json:"jwks,omitempty"`     // of private_key_jwt, a JWK Set
	JWKSURI        string          `json:"jwksUri,omitempty"`
	CreatedAt      Time            `json:"createdAt"`
	UpdatedAt      Time            `json:"updatedAt"`
	LastAuthAt     *Time           `json:"lastAuthAt,omitempty"` // nil before the first token
}

// AgentType is a label for people; authority comes from capabilities alone.
type AgentType string

// The agent types.
const (
	AgentScreener      AgentType = "screener"
	AgentClassifier    AgentType = "classifier"
	AgentOrchestrator  AgentType = "orchestrator"
	AgentExtractor     AgentType = "extractor"
	AgentSummarizer    AgentType = "summarizer"
	AgentRouter        AgentType = "router"
	AgentMonitor       AgentType = "monitor"
	AgentCustom        AgentType = "custom"
	AgentAdministrator AgentType = "administrator"
	AgentSidecar       AgentType = "sidecar"
)

// DeploymentEnv is where an agent runs.
type DeploymentEnv string

// The deployment environments.
const (
	EnvDevelopment DeploymentEnv = "development"
	EnvStaging     DeploymentEnv = "staging"
	EnvProduction  DeploymentEnv = "production"
)

// AgentStatus is whether an agent gets tokens.
type AgentStatus string

// The statuses. Decommissioned is final.
const (
	StatusActive         AgentStatus = "active"
	StatusSuspended      AgentStatus = "suspended"
	StatusDecommissioned AgentStatus = "decommissioned"
)

// NewAgent registers an agent.
type NewAgent struct {
	OrganizationID string          `json:"organizationId,omitempty"` // default: the caller's
	Email          string          `json:"email"`
	AgentType      AgentType       `json:"agentType"`
	Version        string          `json:"version"`
	Capabilities   []string        `json:"capabilities"`
	Owner          string          `json:"owner"`
	DeploymentEnv  DeploymentEnv   `json:"deploymentEnv"`
	Metadata       json.RawMessage `json:"metadata,omitempty"`
	JWKS           json.RawMessage `json:"jwks,omitempty"`
	JWKSURI        string          `json:"jwksUri,omitempty"`
}

// AgentPatch changes the members that are set. An empty, not nil, list of
// capabilities takes all away; json.RawMessage("null") clears metadata or keys.
type AgentPatch struct {
	Email         string          `json:"email,omitempty"`
	AgentType     AgentType       `json:"agentType,omitempty"`
	Version       string          `json:"version,omitempty"`
	Capabilities  []string        `json:"capabilities,omitzero"`
	Owner         string          `json:"owner,omitempty"`
	DeploymentEnv DeploymentEnv   `json:"deploymentEnv,omitempty"`
	Status        AgentStatus     `json:"status,omitempty"` // active or suspended
	Metadata      json.RawMessage `json:"metadata,omitempty"`
	JWKS          json.RawMessage `json:"jwks,omitempty"`
	JWKSURI       json.RawMessage `json:"jwksUri,omitempty"` // a string or null
	Reason        string          `json:"reason,omitempty"`  // why the status changes, for the audit log; with Status only
}

// Usage is what an agent used of its quota in the current UTC calendar month.
type Usage struct {
	AgentID     string `json:"agentId"`
	Month       string `json:"month"` // 2026-07
	TokensUsed  int64  `json:"tokensUsed"`
	TokensLimit int64  `json:"tokensLimit"` // 0: no limit
	ResetsAt    Time   `json:"resetsAt"`
}

// AgentList is one page of agents.
type AgentList struct {
	Data       []Agent `json:"data"`
	Total      int     `json:"total"` // entries on all pages
	Page       int     `json:"page"`  // 1 with a cursor
	Limit      int     `json:"limit"`
	NextCursor string  `json:"nextCursor,omitempty"` // empty on the last page
	Incomplete bool    `json:"incomplete,omitempty"` // more agents match Search than are looked at
}

// AgentSort is the order of a list of agents.
type AgentSort string

// The orders, downwards with "-".
const (
	SortNewest    AgentSort = "-createdAt"
	SortOldest    AgentSort = "createdAt"
	SortEmail     AgentSort = "email"
	SortEmailDown AgentSort = "-email"
)

// AgentFilter bounds a list of agents; empty members do not.
type AgentFilter struct {
	Search         string      // email, id or owner begins so
	Sort           AgentSort   // empty: SortNewest
	Status         AgentStatus // empty: all but the decommissioned
	Owner          string
	AgentType      AgentType
	DeploymentEnv  DeploymentEnv
	Capability     string // exactly this one
	OrganizationID string // another one, for the operator
}

// Agents lists agents, newest first or as sorted, page by page as they are
// consumed. What comes and goes meanwhile moves nothing else.
func (c *Client) Agents(ctx context.Context, filter AgentFilter) iter.Seq2[Agent, error] {
	return cursors(func(cursor string) ([]Agent, string, error) {
		list, err := c.AgentPage(ctx, filter, cursor, pageSize)
		return list.Data, list.NextCursor, err
	})
}

// AgentPage is one page of that list: after the NextCursor of the page before,
// of at most limit agents (1 to 100; 0: 20).
func (c *Client) AgentPage(ctx context.Context, filter AgentFilter, cursor string, limit int) (list AgentList, err error) {
	query := Page{Limit: limit}.into(url.Values{})
	set(query, "cursor", cursor, "q", filter.Search, "sort", string(filter.Sort), "status", string(filter.Status), "owner", filter.Owner, "agentType", string(filter.AgentType),
		"deploymentEnv", string(filter.DeploymentEnv), "capability", filter.Capability, "organizationId", filter.OrganizationID)
	err = c.do(ctx, get("/api/v1/agents", query), &list)
	return list, err
}

// CreateAgent registers an agent.
func (c *Client) CreateAgent(ctx context.Context, agent NewAgent) (created Agent, err error) {
	if agent.Capabilities == nil {
		agent.Capabilities = []string{}
	}
	err = c.do(ctx, post("/api/v1/agents", agent), &created)
	return created, err
}

// Agent gets one agent.
func (c *Client) Agent(ctx context.Context, agentID string) (agent Agent, err error) {
	err = c.do(ctx, get(agentPath(agentID), nil), &agent)
	return agent, err
}

// UpdateAgent changes members of an agent.
func (c *Client) UpdateAgent(ctx context.Context, agentID string, patch AgentPatch) (agent Agent, err error) {
	err = c.do(ctx, call{method: http.MethodPatch, path: agentPath(agentID), body: patch}, &agent)
	return agent, err
}

// SuspendAgent kills the agent's live tokens; it gets no others until it is
// reactivated. The reason, which may be empty, stands in the audit log.
func (c *Client) SuspendAgent(ctx context.Context, agentID, reason string) (Agent, error) {
	return c.UpdateAgent(ctx, agentID, AgentPatch{Status: StatusSuspended, Reason: reason})
}

// ReactivateAgent lets a suspended agent get tokens again.
func (c *Client) ReactivateAgent(ctx context.Context, agentID, reason string) (Agent, error) {
	return c.UpdateAgent(ctx, agentID, AgentPatch{Status: StatusActive, Reason: reason})
}

// DecommissionAgent is final: live tokens and credentials die, the record stays.
func (c *Client) DecommissionAgent(ctx context.Context, agentID, reason string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: agentPath(agentID), query: set(url.Values{}, "reason", reason), repeatable: true}, nil)
}

// AgentUsage is what the agent used of its quota.
func (c *Client) AgentUsage(ctx context.Context, agentID string) (usage Usage, err error) {
	err = c.do(ctx, get(agentPath(agentID)+"/usage", nil), &usage)
	return usage, err
}

func agentPath(agentID string) string { return "/api/v1/agents/" + segment(agentID) }
