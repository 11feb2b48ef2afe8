package httpapi

import (
	"strings"

	"github.com/sentryagent/agentidp/shared/httpx"
)

var (
	// Two years, as browsers' preload lists have it; without includeSubDomains,
	// for the neighbours of the issuer's host are not ours.
	strictTransport = httpx.NewField("Strict-Transport-Security", "max-age=63072000")

	anyResource = httpx.NewField("Cross-Origin-Resource-Policy", "cross-origin")
	anyOrigin   = httpx.NewField("Access-Control-Allow-Origin", "*")
)

// dress sets the headers of an answer that depend on the configuration, the
// route or the caller's origin; httpx.SetSecurityHeaders adds those that do not.
func (a *API) dress(c *call) {
	header := &c.http.Response.Header
	if https(a.Issuer) {
		strictTransport.Set(header)
	}
	if c.route.everybodys() {
		anyResource.Set(header)
		anyOrigin.Set(header)
		return
	}
	a.cors.allow(c.http)
}

func https(issuer string) bool {
	const scheme = "https://"
	return len(issuer) > len(scheme) && strings.EqualFold(issuer[:len(scheme)], scheme)
}

// everybodys reports the documents that verifiers need, those in browsers too:
// the same for all, asked for without credentials, and public by their purpose,
// so that no page of any origin learns from them what it should not.
func (r *Route) everybodys() bool {
	switch r.Path {
	case pathJWKS, pathMetadata, pathOpenID, pathStatusLists, pathStatusList:
		return true
	}
	return false
}
