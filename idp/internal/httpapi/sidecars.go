package httpapi

import (
	"context"
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
	err = a.DB.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		rows, total, err = tx.Sidecars.List(ctx, organization, page)
		return err
	})
	if err != nil {
		return registry.StoreError(err)
	}
	now := idp.Time(a.Now())
	return c.answer(http.StatusOK, viewList(rows, total, page, func(s store.Sidecar) sidecarView { return viewSidecar(s, now) }))
}
