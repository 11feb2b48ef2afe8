package httpapi

import (
	"context"
	"errors"
	"net/http"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/registry"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

func (a *API) listSidecars(ctx context.Context, c *call) error {
	q := c.query()
	page, named := q.page(), q.text("organizationId")
	if err := q.done(); err != nil {
		return err
	}
	organization, err := c.named(named)
	if err != nil {
		return err
	}
	var rows []store.Sidecar
	var total int
	emails := map[string]string{}
	err = a.DB.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		if rows, total, err = tx.Sidecars.List(ctx, organization, page); err != nil {
			return err
		}
		for _, row := range rows {
			if _, known := emails[row.AgentID]; known {
				continue
			}
			agent, err := tx.Agents.Get(ctx, row.OrganizationID, row.AgentID)
			if err != nil && !errors.Is(err, idp.ErrNotFound) {
				return err
			}
			emails[row.AgentID] = agent.Email
		}
		return nil
	})
	if err != nil {
		return registry.StoreError(err)
	}
	now := idp.Time(a.Now())
	return c.answer(http.StatusOK, viewList(rows, total, page, func(s store.Sidecar) sidecarView {
		a.refresh(ctx, &s)
		view := viewSidecar(s, now)
		view.AgentEmail = emails[s.AgentID]
		view.FeedSequence = a.confirmed(s.FeedCursor)
		return view
	}))
}
