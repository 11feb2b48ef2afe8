package httpapi

import (
	"context"

	"github.com/sentryagent/agentidp/shared/httpx"
)

const (
	pathAPIDocs     = "/api-docs"
	pathAPIDocsFile = pathAPIDocs + "/{file}"
)

// What the API page may do. Its icons are data in its style sheet; it has no
// Trusted Types, for Swagger UI makes HTML of the document's Markdown.
var apiDocsPolicy = httpx.NewField("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "+
	"form-action 'none'; base-uri 'none'; frame-ancestors 'none'")

// getAPIDocs serves the page about docs/openapi.yaml, and what it loads.
func (a *API) getAPIDocs(_ context.Context, c *call) error {
	name, found := a.apiDocs.file(c.path)
	if name == "" {
		found = a.apiDocs.index()
	}
	return a.apiDocs.serve(c, found)
}
