package httpapi

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/sentryagent/agentidp/idp/internal/statuslist"
	"github.com/sentryagent/agentidp/shared/apierr"
)

const (
	pathStatusLists = statuslist.Path
	pathStatusList  = statuslist.Path + "/{statusListId}"
)

// listStatusLists is the aggregation (draft-ietf-oauth-status-list section 9).
func (a *API) listStatusLists(_ context.Context, c *call) error {
	all, err := a.StatusLists.All()
	if err != nil {
		return err
	}
	c.cacheFor(int(statuslist.TTL / time.Second))
	return c.answer(http.StatusOK, map[string][]string{"status_lists": all})
}

// getStatusList is one list, as it is now: of the past none is kept (section 8.4).
func (a *API) getStatusList(ctx context.Context, c *call) error {
	if c.http.QueryArgs().Has("time") {
		return apierr.New(apierr.NotImplemented, "only the list as it is now is served").WithReason("status_list_history")
	}
	name := c.param("statusListId")
	id, err := strconv.ParseInt(name, 10, 64)
	if err != nil || strconv.FormatInt(id, 10) != name {
		return apierr.New(apierr.NotFound, "no such status list").WithReason("status_list_not_found")
	}
	list, err := a.StatusLists.List(ctx, id)
	if err != nil {
		return err
	}
	return c.serveDocument(document{media: statuslist.MediaType, body: list.Body, etag: list.ETag, seconds: int(list.MaxAge / time.Second)})
}
