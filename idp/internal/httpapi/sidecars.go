package httpapi

import (
	"context"
	"net/http"

	"github.com/sentryagent/agentidp/idp/internal/registry"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

func (a *API) listSidecars(ctx context.Context, c *call) error {
	q := c.query()
	page := q.page()
	if err := q.done(); err != nil {
		return err
	}
	var rows []store.Sidecar
	var total int
	err := a.DB.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		rows, total, err = tx.Sidecars.List(ctx, c.organizationID, page)
		return err
	})
	if err != nil {
		return registry.StoreError(err)
	}
	return c.answer(http.StatusOK, viewList(rows, total, page, viewSidecar))
}
