package httpapi

import (
	"context"
	"net/http"
	"strings"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/auditlog"
	"github.com/sentryagent/agentidp/shared/apierr"
)

const octets = "application/octet-stream"

// tile reads the path parameters of a tile. Clients made from the document send
// the slashes of the last one percent-encoded.
func (c *call) tile(level string) (auditlog.Tile, error) {
	if err := c.noQuery(); err != nil {
		return auditlog.Tile{}, err
	}
	return auditlog.ParseTile(level, strings.ReplaceAll(c.param("tile"), "%2F", "/"))
}

// keepTile lets the caller alone keep what no growth of the log changes.
func (c *call) keepTile(t auditlog.Tile) {
	if t.Full() {
		c.set("Cache-Control", "private, max-age=31536000, immutable")
		c.http.Response.Header.Add("Vary", "Authorization")
	}
}

func (a *API) getAuditTile(ctx context.Context, c *call) error {
	tile, err := c.tile(c.param("level"))
	if err != nil {
		return err
	}
	hashes, err := a.Log.Tile(ctx, tile)
	if err != nil {
		return err
	}
	c.keepTile(tile)
	c.write(http.StatusOK, octets, hashes)
	return nil
}

// getAuditEntries serves events of all organizations at once.
func (a *API) getAuditEntries(ctx context.Context, c *call) error {
	tile, err := c.tile("0")
	if err != nil {
		return err
	}
	if c.organizationID != idp.OperatorOrganization {
		return apierr.New(apierr.Forbidden, "entry bundles hold the events of every organization: only the operator can read them").
			WithReason("operator_only").WithDetail("reason", "operator_only")
	}
	bundle, err := a.Log.Entries(ctx, tile)
	if err != nil {
		return err
	}
	c.keepTile(tile)
	c.write(http.StatusOK, octets, bundle)
	return nil
}
