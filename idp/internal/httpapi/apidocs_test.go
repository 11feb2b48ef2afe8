package httpapi_test

import (
	"encoding/json"
	"net/url"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/sentryagent/agentidp/docs"
	"github.com/sentryagent/agentidp/idp/apidocs"
)

func TestAPIDocs(t *testing.T) {
	w := newWorld(t, setting{apiDocs: apidocs.Files()})
	for _, fact := range []struct {
		path   string
		status int
		media  string
	}{
		{"/api-docs", 200, "text/html; charset=utf-8"},
		{"/api-docs/", 200, "text/html; charset=utf-8"},
		{"/api-docs/initializer.js", 200, "text/javascript; charset=utf-8"},
		{"/api-docs/swagger-ui/swagger-ui-bundle.js", 200, "text/javascript; charset=utf-8"},
		{"/api-docs/swagger-ui/swagger-ui.css", 200, "text/css; charset=utf-8"},
		{"/api-docs/swagger-ui/favicon-32x32.png", 200, "image/png"},
		{"/api-docs/swagger-ui/LICENSE", 200, "text/plain; charset=utf-8"},
		{"/api-docs/swagger-ui/NOTICE", 200, "text/plain; charset=utf-8"},
		{"/api-docs/agents", 404, "application/json"}, // no page of its own, unlike the dashboard's
		{"/api-docs/swagger-ui/", 404, "application/json"},
		{"/api-docs/..%2f..%2fgo.mod", 404, "application/json"},
	} {
		answer, _ := w.browse("GET", fact.path)
		require.Equal(t, fact.status, answer.StatusCode, fact.path)
		require.Equal(t, fact.media, answer.Header.Get("Content-Type"), fact.path)
		if fact.status == 200 {
			require.Equal(t, "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "+
				"form-action 'none'; base-uri 'none'; frame-ancestors 'none'", answer.Header.Get("Content-Security-Policy"), fact.path)
			require.Equal(t, "no-cache", answer.Header.Get("Cache-Control"), fact.path)
			again, body := w.browse("GET", fact.path, "If-None-Match", answer.Header.Get("ETag"))
			require.Equal(t, 304, again.StatusCode, fact.path)
			require.Empty(t, body, fact.path)
		}
	}
	answer, _ := w.browse("GET", "/api-docs/swagger-ui/swagger-ui-bundle.js", "Accept-Encoding", "gzip")
	require.Equal(t, "gzip", answer.Header.Get("Content-Encoding"))
	answer, _ = w.browse("POST", "/api-docs")
	require.Equal(t, 405, answer.StatusCode)
}

var link = regexp.MustCompile(`(?:src|href)="([^"]*)"`)

// Whatever the page names is there, and below the path that it is mounted at.
func TestAPIDocsBelowTheIssuersPath(t *testing.T) {
	w := newWorld(t, setting{issuer: "https://example.com/tenants/idp", apiDocs: apidocs.Files()})
	_, page := w.browse("GET", "/tenants/idp/api-docs")
	links := link.FindAllStringSubmatch(page, -1)
	require.Len(t, links, 6)
	for _, found := range links {
		require.Contains(t, found[1], "/tenants/idp/")
		clean, err := url.JoinPath("/", found[1]) // without .., as browsers ask
		require.NoError(t, err)
		answer, _ := w.browse("GET", clean)
		require.Equal(t, 200, answer.StatusCode, found[1])
	}
	require.NotRegexp(t, `<script(?: [^>]*)?>[^<]|style=|<style| on[a-z]+=`, page, "nothing inline: the policy forbids it")
}

func TestAPIDocsTurnedOff(t *testing.T) {
	w := newWorld(t, setting{pages: pages})
	for _, path := range []string{"/api-docs", "/api-docs/", "/api-docs/initializer.js"} {
		answer, body := w.browse("GET", path)
		require.Equal(t, 404, answer.StatusCode, path)
		require.Contains(t, body, `"code":"NOT_FOUND"`, path)
	}
}

// The document is the same in both forms, as it was written, and kept by who has it.
func TestDocumentIsServed(t *testing.T) {
	w := newWorld(t, setting{})
	var fromYAML, fromJSON any
	for name, fact := range map[string]struct {
		media  string
		decode func([]byte) error
	}{
		"/openapi.yaml": {"application/yaml", func(body []byte) error {
			require.Equal(t, string(docs.OpenAPI), string(body))
			return yaml.Unmarshal(body, &fromYAML)
		}},
		"/openapi.json": {"application/json", func(body []byte) error { return json.Unmarshal(body, &fromJSON) }},
	} {
		answer, body := w.browse("GET", name)
		require.Equal(t, 200, answer.StatusCode, name)
		require.Equal(t, fact.media, answer.Header.Get("Content-Type"), name)
		require.Equal(t, "public, max-age=300", answer.Header.Get("Cache-Control"), name)
		require.NoError(t, fact.decode([]byte(body)), name)
		again, body := w.browse("GET", name, "If-None-Match", answer.Header.Get("ETag"))
		require.Equal(t, 304, again.StatusCode, name)
		require.Empty(t, body, name)
	}
	whole, err := json.Marshal(fromYAML)
	require.NoError(t, err)
	again, err := json.Marshal(fromJSON)
	require.NoError(t, err)
	require.JSONEq(t, string(whole), string(again))
}
