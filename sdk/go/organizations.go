package agentidp

import (
	"context"
	"iter"
	"net/http"
	"net/url"
)

// Organization is a tenant.
type Organization struct {
	OrganizationID   string `json:"organizationId"`
	Name             string `json:"name"`
	Plan             Plan   `json:"plan"`
	MaxCredentialAge int64  `json:"maxCredentialAge"` // seconds that a secret is good; 0: no limit
	CreatedAt        Time   `json:"createdAt"`
	UpdatedAt        Time   `json:"updatedAt"`
}

// Plan is the limits that an organization lives under.
type Plan string

// The plans.
const (
	PlanFree   Plan = "free"
	PlanCustom Plan = "custom"
)

// NewOrganization makes an organization and its administrator.
type NewOrganization struct {
	OrganizationID     string `json:"organizationId"`
	Name               string `json:"name"`
	Plan               Plan   `json:"plan,omitempty"`
	MaxCredentialAge   int64  `json:"maxCredentialAge,omitempty"`
	AdministratorEmail string `json:"administratorEmail,omitempty"` // default: admin@localhost
}

// OrganizationPatch changes the members that are set.
type OrganizationPatch struct {
	Name             string `json:"name,omitempty"`
	Plan             Plan   `json:"plan,omitempty"`
	MaxCredentialAge *int64 `json:"maxCredentialAge,omitempty"`
}

// CreatedOrganization is a new organization, and its administrator with the
// secret that is never shown again.
type CreatedOrganization struct {
	Organization  Organization         `json:"organization"`
	Administrator Agent                `json:"administrator"`
	Credential    CredentialWithSecret `json:"credential"`
}

// OrganizationUsage is what an organization used of its plan.
type OrganizationUsage struct {
	OrganizationID      string `json:"organizationId"`
	Month               string `json:"month"`       // 2026-07, UTC
	AgentsUsed          int64  `json:"agentsUsed"`  // not decommissioned
	AgentsLimit         int64  `json:"agentsLimit"` // 0: no limit
	TokensUsed          int64  `json:"tokensUsed"`  // of all its agents in the month
	TokensLimitPerAgent int64  `json:"tokensLimitPerAgent"`
	ResetsAt            Time   `json:"resetsAt"`

	MostTokens []AgentTokens `json:"mostTokens"` // the agents nearest to their limit, at most ten
}

// AgentTokens is what an agent was issued in the month.
type AgentTokens struct {
	AgentID    string      `json:"agentId"`
	Email      string      `json:"email"`
	Status     AgentStatus `json:"status"`
	TokensUsed int64       `json:"tokensUsed"`
}

// Organizations lists organizations, newest first.
func (c *Client) Organizations(ctx context.Context) iter.Seq2[Organization, error] {
	return pages(ctx, func(ctx context.Context, page Page) (list List[Organization], err error) {
		err = c.do(ctx, get("/api/v1/organizations", page.into(url.Values{})), &list)
		return list, err
	})
}

// CreateOrganization makes an organization.
func (c *Client) CreateOrganization(ctx context.Context, organization NewOrganization) (created CreatedOrganization, err error) {
	err = c.do(ctx, post("/api/v1/organizations", organization), &created)
	return created, err
}

// Organization gets one organization.
func (c *Client) Organization(ctx context.Context, organizationID string) (organization Organization, err error) {
	err = c.do(ctx, get("/api/v1/organizations/"+segment(organizationID), nil), &organization)
	return organization, err
}

// UpdateOrganization changes members of an organization.
func (c *Client) UpdateOrganization(ctx context.Context, organizationID string, patch OrganizationPatch) (organization Organization, err error) {
	err = c.do(ctx, call{method: http.MethodPatch, path: "/api/v1/organizations/" + segment(organizationID), body: patch}, &organization)
	return organization, err
}

// OrganizationUsage is what the organization used of its plan.
func (c *Client) OrganizationUsage(ctx context.Context, organizationID string) (usage OrganizationUsage, err error) {
	err = c.do(ctx, get("/api/v1/organizations/"+segment(organizationID)+"/usage", nil), &usage)
	return usage, err
}
