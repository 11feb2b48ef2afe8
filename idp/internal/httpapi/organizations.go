package httpapi

import (
	"context"
	"net/http"

	"github.com/sentryagent/agentidp/idp/internal/registry"
)

func (a *API) listOrganizations(ctx context.Context, c *call) error {
	q := c.query()
	page := q.page()
	if err := q.done(); err != nil {
		return err
	}
	actor, err := c.actor()
	if err != nil {
		return err
	}
	organizations, total, err := a.Registry.ListOrganizations(ctx, actor, page)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, viewList(organizations, total, page, viewOrganization))
}

func (a *API) createOrganization(ctx context.Context, c *call) error {
	m, err := c.members()
	if err != nil {
		return err
	}
	in := registry.NewOrganization{
		ID: or(m.text("organizationId")), Name: or(m.text("name")), Plan: or(m.text("plan")), AdministratorEmail: or(m.text("administratorEmail")),
	}
	m.read("maxCredentialAge", &in.MaxCredentialAge, "must be an integer")
	m.require("organizationId", "name")
	if err := m.done(); err != nil {
		return err
	}
	actor, err := c.actor()
	if err != nil {
		return err
	}
	founded, err := a.Registry.CreateOrganization(ctx, actor, in)
	if err != nil {
		return err
	}
	c.etag(founded.Organization.Revision)
	c.location(prefix, "organizations", founded.Organization.ID)
	return c.answer(http.StatusCreated, foundedView{
		Organization: viewOrganization(founded.Organization), Administrator: viewAgent(founded.Administrator), Credential: viewIssued(founded.Credential),
	})
}

func (a *API) getOrganization(ctx context.Context, c *call) error {
	id, actor, err := c.organizationTarget()
	if err != nil {
		return err
	}
	organization, err := a.Registry.GetOrganization(ctx, actor, id)
	if err != nil {
		return err
	}
	c.etag(organization.Revision)
	return c.answer(http.StatusOK, viewOrganization(organization))
}

type organizationUsageView struct {
	OrganizationID      string `json:"organizationId"`
	Month               string `json:"month"`
	AgentsUsed          int    `json:"agentsUsed"`
	AgentsLimit         int    `json:"agentsLimit"`
	TokensUsed          int64  `json:"tokensUsed"`
	TokensLimitPerAgent int    `json:"tokensLimitPerAgent"`
	ResetsAt            string `json:"resetsAt"`

	MostTokens []agentTokensView `json:"mostTokens"`
}

type agentTokensView struct {
	AgentID    string `json:"agentId"`
	Email      string `json:"email"`
	Status     string `json:"status"`
	TokensUsed int64  `json:"tokensUsed"`
}

func (a *API) getOrganizationUsage(ctx context.Context, c *call) error {
	id, actor, err := c.organizationTarget()
	if err != nil {
		return err
	}
	u, err := a.Registry.GetOrganizationUsage(ctx, actor, id)
	if err != nil {
		return err
	}
	most := make([]agentTokensView, len(u.MostTokens))
	for i, a := range u.MostTokens {
		most[i] = agentTokensView{AgentID: a.AgentID, Email: a.Email, Status: string(a.Status), TokensUsed: a.Tokens}
	}
	return c.answer(http.StatusOK, organizationUsageView{
		OrganizationID: u.OrganizationID, Month: u.Month, AgentsUsed: u.Agents, AgentsLimit: u.AgentsLimit,
		TokensUsed: u.Tokens, TokensLimitPerAgent: u.TokensLimitPerAgent, ResetsAt: stamp(u.ResetsAt), MostTokens: most,
	})
}

// organizationTarget reads the organization of the path, and refuses any query.
func (c *call) organizationTarget() (id string, actor registry.Actor, err error) {
	id, err = c.organization()
	if err == nil {
		err = c.noQuery()
	}
	if err != nil {
		return "", registry.Actor{}, err
	}
	actor, err = c.actor()
	return id, actor, err
}

func (a *API) updateOrganization(ctx context.Context, c *call) error {
	id, actor, err := c.organizationTarget()
	if err != nil {
		return err
	}
	m, err := c.members()
	if err != nil {
		return err
	}
	patch := registry.OrganizationPatch{Name: m.text("name"), Plan: m.text("plan")}
	if age := int64(0); m.read("maxCredentialAge", &age, "must be an integer") {
		patch.MaxCredentialAge = &age
	}
	if patch.IfMatch, err = c.ifMatch(); err != nil {
		return err
	}
	m.fixed("organizationId", "createdAt", "updatedAt")
	m.notEmpty()
	if err := m.done(); err != nil {
		return err
	}
	organization, err := a.Registry.UpdateOrganization(ctx, actor, id, patch)
	if err != nil {
		return err
	}
	c.etag(organization.Revision)
	return c.answer(http.StatusOK, viewOrganization(organization))
}
