package httpapi

import (
	"bytes"
	"context"
	"net/http"

	"github.com/sentryagent/agentidp/idp/internal/registry"
)

func (a *API) listAgents(ctx context.Context, c *call) error {
	q := c.query()
	ask := registry.AgentQuery{
		OrganizationID: q.text("organizationId"), Status: q.text("status"), Owner: q.text("owner"), Type: q.text("agentType"),
		Environment: q.text("deploymentEnv"), Capability: q.text("capability"), Page: q.page(),
		Prefix: q.text("q"), Sort: q.text("sort"), Cursor: q.text("cursor"),
	}
	if err := q.done(); err != nil {
		return err
	}
	actor, err := c.actor()
	if err != nil {
		return err
	}
	page, err := a.Registry.ListAgents(ctx, actor, ask)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, agentListView{
		listView: viewList(page.Agents, page.Total, ask.Page, viewAgent), NextCursor: page.NextCursor, Incomplete: page.Incomplete,
	})
}

type agentListView struct {
	listView[agentView]
	NextCursor string `json:"nextCursor,omitempty"`
	Incomplete bool   `json:"incomplete,omitempty"`
}

func (a *API) createAgent(ctx context.Context, c *call) error {
	m, err := c.members()
	if err != nil {
		return err
	}
	in := registry.NewAgent{
		OrganizationID: or(m.text("organizationId")), Email: or(m.text("email")), Type: or(m.text("agentType")),
		Version: or(m.text("version")), Owner: or(m.text("owner")), Environment: or(m.text("deploymentEnv")), Metadata: m.value("metadata"),
		JWKS: m.value("jwks"), JWKSURI: or(m.clearable("jwksUri")),
	}
	if capabilities := m.texts("capabilities"); capabilities != nil {
		in.Capabilities = *capabilities
	}
	m.require("email", "agentType", "version", "capabilities", "owner", "deploymentEnv")
	if err := m.done(); err != nil {
		return err
	}
	actor, err := c.actor()
	if err != nil {
		return err
	}
	agent, replayed, err := a.Registry.CreateAgent(ctx, actor, in)
	if err != nil {
		return err
	}
	c.replayed(replayed)
	c.etag(agent.Revision)
	c.location(prefix, "agents", agent.ID)
	return c.answer(http.StatusCreated, viewAgent(agent))
}

// clearable is a string member that null clears, which reads as the empty
// string; nil when absent.
func (m *members) clearable(name string) *string {
	if bytes.Equal(m.raw[name], []byte("null")) {
		m.value(name)
		return new(string)
	}
	text := m.text(name)
	if text != nil && *text == "" {
		m.breaks(name, "must not be empty; null clears it")
	}
	return text
}

func (a *API) getAgent(ctx context.Context, c *call) error {
	id, actor, err := c.agentTarget()
	if err != nil {
		return err
	}
	agent, err := a.Registry.GetAgent(ctx, actor, id)
	if err != nil {
		return err
	}
	c.etag(agent.Revision)
	return c.answer(http.StatusOK, viewAgent(agent))
}

// agentTarget reads the agent of the path, and refuses any query.
func (c *call) agentTarget() (id string, actor registry.Actor, err error) {
	ids, err := c.uuids("agentId")
	if err == nil {
		err = c.noQuery()
	}
	if err != nil {
		return "", registry.Actor{}, err
	}
	actor, err = c.actor()
	return ids[0], actor, err
}

func (a *API) updateAgent(ctx context.Context, c *call) error {
	id, actor, err := c.agentTarget()
	if err != nil {
		return err
	}
	m, err := c.members()
	if err != nil {
		return err
	}
	patch := registry.AgentPatch{
		Email: m.text("email"), Type: m.text("agentType"), Version: m.text("version"), Capabilities: m.texts("capabilities"),
		Owner: m.text("owner"), Environment: m.text("deploymentEnv"), Status: m.text("status"), Metadata: m.value("metadata"),
		JWKS: m.value("jwks"), JWKSURI: m.clearable("jwksUri"), Reason: or(m.text("reason")),
	}
	if patch.IfMatch, err = c.ifMatch(); err != nil {
		return err
	}
	m.fixed("agentId", "organizationId", "createdAt", "updatedAt", "lastAuthAt")
	m.notEmpty()
	if err := m.done(); err != nil {
		return err
	}
	agent, err := a.Registry.UpdateAgent(ctx, actor, id, patch)
	if err != nil {
		return err
	}
	c.etag(agent.Revision)
	return c.answer(http.StatusOK, viewAgent(agent))
}

func (a *API) deleteAgent(ctx context.Context, c *call) error {
	ids, err := c.uuids("agentId")
	if err != nil {
		return err
	}
	q := c.query()
	in := registry.Decommission{Reason: q.text("reason")}
	if err := q.done(); err != nil {
		return err
	}
	if in.IfMatch, err = c.ifMatch(); err != nil {
		return err
	}
	actor, err := c.actor()
	if err != nil {
		return err
	}
	if err := a.Registry.DecommissionAgent(ctx, actor, ids[0], in); err != nil {
		return err
	}
	c.empty(http.StatusNoContent)
	return nil
}

type usageView struct {
	AgentID     string `json:"agentId"`
	Month       string `json:"month"`
	TokensUsed  int64  `json:"tokensUsed"`
	TokensLimit int    `json:"tokensLimit"`
	ResetsAt    string `json:"resetsAt"`
}

func (a *API) getAgentUsage(ctx context.Context, c *call) error {
	id, actor, err := c.agentTarget()
	if err != nil {
		return err
	}
	usage, err := a.Registry.GetUsage(ctx, actor, id)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, usageView{
		AgentID: usage.AgentID, Month: usage.Month, TokensUsed: usage.Tokens, TokensLimit: usage.TokensLimit, ResetsAt: stamp(usage.ResetsAt),
	})
}
