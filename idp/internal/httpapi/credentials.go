package httpapi

import (
	"context"
	"net/http"

	"github.com/sentryagent/agentidp/idp/internal/registry"
)

func (a *API) listCredentials(ctx context.Context, c *call) error {
	ids, err := c.uuids("agentId")
	if err != nil {
		return err
	}
	q := c.query()
	page := q.page()
	if err := q.done(); err != nil {
		return err
	}
	actor, err := c.actor()
	if err != nil {
		return err
	}
	credentials, total, err := a.Registry.ListCredentials(ctx, actor, ids[0], page)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, viewList(credentials, total, page, viewCredential))
}

func (a *API) createCredential(ctx context.Context, c *call) error {
	id, actor, err := c.agentTarget()
	if err != nil {
		return err
	}
	m, err := c.members()
	if err != nil {
		return err
	}
	in := registry.NewCredential{Method: or(m.text("authMethod")), ExpiresAt: m.instant("expiresAt")}
	if err := m.done(); err != nil {
		return err
	}
	issued, err := a.Registry.CreateCredential(ctx, actor, id, in)
	if err != nil {
		return err
	}
	c.replayed(issued.Replayed)
	c.location(prefix, "agents", id, "credentials", issued.ID)
	return c.answer(http.StatusCreated, viewIssued(issued))
}

// credentialTarget reads agent and credential of the path, and the query.
func (c *call) credentialTarget(q *query) (ids []string, actor registry.Actor, err error) {
	if ids, err = c.uuids("agentId", "credentialId"); err != nil {
		return nil, registry.Actor{}, err
	}
	if err := q.done(); err != nil {
		return nil, registry.Actor{}, err
	}
	actor, err = c.actor()
	return ids, actor, err
}

func (a *API) revokeCredential(ctx context.Context, c *call) error {
	q := c.query()
	in := registry.CredentialRevocation{Tokens: q.flag("revokeTokens"), Reason: q.text("reason")}
	ids, actor, err := c.credentialTarget(q)
	if err != nil {
		return err
	}
	if err := a.Registry.RevokeCredential(ctx, actor, ids[0], ids[1], in); err != nil {
		return err
	}
	c.empty(http.StatusNoContent)
	return nil
}

func (a *API) rotateCredential(ctx context.Context, c *call) error {
	q := c.query()
	revokeTokens := q.flag("revokeTokens")
	ids, actor, err := c.credentialTarget(q)
	if err != nil {
		return err
	}
	m, err := c.members()
	if err != nil {
		return err
	}
	in := registry.Rotation{OverlapSeconds: m.integer("overlapSeconds"), RevokeTokens: revokeTokens}
	if err := m.done(); err != nil {
		return err
	}
	issued, err := a.Registry.RotateCredential(ctx, actor, ids[0], ids[1], in)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, viewIssued(issued))
}
