package httpapi

import (
	"context"
	"net/http"
	"strings"

	"github.com/sentryagent/agentidp/shared/httpx"
)

const (
	pathRoot          = "/"
	pathDashboard     = "/dashboard"
	pathDashboardFile = pathDashboard + "/{file}"
)

// What the dashboard's pages may do: run and dress themselves with what the
// binary holds, call this origin, and nothing else. No text can become a
// script, for the browser refuses every sink of HTML (Trusted Types).
var dashboardPolicy = httpx.NewField("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "+
	"form-action 'none'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'")

// getRoot leads who opens the issuer in a browser to the dashboard.
func (a *API) getRoot(_ context.Context, c *call) error {
	if a.dashboard.assets == nil {
		return noSuchPath()
	}
	c.location(issuerPath(a.Issuer) + pathDashboard)
	c.empty(http.StatusFound)
	return nil
}

// getDashboard serves the page, and for every path that is not a file the page
// again, whose own router knows the path.
func (a *API) getDashboard(_ context.Context, c *call) error {
	name, found := a.dashboard.file(c.path)
	if found == nil && !strings.HasPrefix(name, assetsFolder) {
		found = a.dashboard.index()
	}
	return a.dashboard.serve(c, found)
}
