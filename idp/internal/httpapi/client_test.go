package httpapi_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/docs"
	"github.com/sentryagent/agentidp/idp/internal/statuslist"
	"github.com/sentryagent/agentidp/shared/feed"
)

// document is docs/openapi.yaml with a router for it.
type document struct {
	*openapi3.T
	router routers.Router
}

var description = sync.OnceValue(func() document {
	doc, err := openapi3.NewLoader().LoadFromData(docs.OpenAPI)
	if err != nil {
		panic(err)
	}
	doc.Servers = openapi3.Servers{{URL: "/"}} // the document's is relative, which this router does not know
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		panic(err)
	}
	text := func(body io.Reader, _ http.Header, _ *openapi3.SchemaRef, _ openapi3filter.EncodingFn) (any, error) {
		content, err := io.ReadAll(body)
		return string(content), err
	}
	openapi3filter.RegisterBodyDecoder("application/x-ndjson", text)
	openapi3filter.RegisterBodyDecoder("text/csv", text)
	openapi3filter.RegisterBodyDecoder("application/gzip", text)
	openapi3filter.RegisterBodyDecoder(feed.SnapshotMediaType, text)
	openapi3filter.RegisterBodyDecoder(statuslist.MediaType, text)
	return document{doc, router}
})

var filter = &openapi3filter.Options{
	MultiError: true, IncludeResponseStatus: true, AuthenticationFunc: openapi3filter.NoopAuthenticationFunc,
}

// answer is a response that was read and held against the document.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a *answer) json() any {
	var value any
	if json.Unmarshal(a.body, &value) != nil {
		return nil
	}
	return value
}

func (a *answer) text(member string) string {
	value, _ := lookup(a.json(), member)
	text, _ := value.(string)
	return text
}

// send sends a request and holds the response against the document; when the
// request is meant to be a good one, the request too.
func (w *world) send(request *http.Request, good bool) *answer {
	w.t.Helper()
	var content []byte
	if request.Body != nil {
		var err error
		content, err = io.ReadAll(request.Body)
		require.NoError(w.t, err)
		request.Body = io.NopCloser(bytes.NewReader(content))
		request.ContentLength = int64(len(content))
	}
	response, err := w.http.Do(request)
	require.NoError(w.t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(w.t, err)
	request.Body = io.NopCloser(bytes.NewReader(content))
	a := &answer{status: response.StatusCode, header: response.Header, body: body}
	require.NoError(w.t, w.conforms(request, a, good), "%s %s: %d %s", request.Method, request.URL, a.status, a.body)
	return a
}

// conforms holds an exchange against the document.
func (w *world) conforms(request *http.Request, a *answer, good bool) error {
	asked := *request
	target := *request.URL
	if u, err := url.Parse(w.set.issuer); err == nil {
		target.Path = strings.TrimPrefix(target.Path, u.Path)
	}
	asked.URL = oneSegment(&target)
	if request.Method == http.MethodHead {
		asked.Method = http.MethodGet
	}
	if request.Method == http.MethodOptions && a.status == http.StatusNoContent {
		return nil // a preflight is no operation
	}
	route, parameters, err := description().router.FindRoute(&asked)
	if err != nil {
		if good || a.status < http.StatusBadRequest || a.status >= http.StatusInternalServerError {
			return fmt.Errorf("the document does not have it: %w", err)
		}
		return w.isError(a)
	}
	input := &openapi3filter.RequestValidationInput{Request: &asked, PathParams: parameters, Route: route, Options: filter}
	if good {
		if err := openapi3filter.ValidateRequest(context.Background(), input); err != nil {
			return fmt.Errorf("request: %w", err)
		}
	}
	if request.Method == http.MethodHead {
		return nil
	}
	return openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: a.status, Header: a.header, Body: io.NopCloser(bytes.NewReader(a.body)), Options: filter,
	})
}

// oneSegment writes the path of a tile as OpenAPI 3.0 can describe it.
func oneSegment(target *url.URL) *url.URL {
	for _, kind := range []string{"0/", "1/", "2/", "entries/"} {
		if tile, found := strings.CutPrefix(target.Path, "/api/v1/audit/tile/"+kind); found {
			target.RawPath = "/api/v1/audit/tile/" + kind + url.PathEscape(tile)
		}
	}
	return target
}

// isError holds the body of an answer that no operation gave against the error schemas.
func (w *world) isError(a *answer) error {
	schemas := description().Components.Schemas
	err := schemas["Error"].Value.VisitJSON(a.json())
	if err != nil {
		err = schemas["OAuthError"].Value.VisitJSON(a.json())
	}
	if err == nil && a.header.Get("X-Request-Id") == "" {
		err = fmt.Errorf("no X-Request-Id")
	}
	return err
}

func basicOf(client, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(client)+":"+url.QueryEscape(secret)))
}

// call sends JSON with a bearer token.
func (w *world) call(token, method, path, body string, headers ...string) *answer {
	w.t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	request, err := http.NewRequestWithContext(w.t.Context(), method, w.base+path, reader)
	require.NoError(w.t, err)
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	return w.send(request, true)
}

// form sends a form.
func (w *world) form(path, authorization string, values url.Values) *answer {
	w.t.Helper()
	request, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.base+path, strings.NewReader(values.Encode()))
	require.NoError(w.t, err)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if authorization != "" {
		request.Header.Set("Authorization", authorization)
	}
	return w.send(request, true)
}

// token gets a token for the management API, or for resources.
func (w *world) token(name string, resources ...string) string {
	w.t.Helper()
	a := w.form("/api/v1/token", w.vars[name+".basic"], url.Values{"grant_type": {"client_credentials"}, "resource": resources})
	require.Equal(w.t, http.StatusOK, a.status, string(a.body))
	return a.text("access_token")
}

// agent registers an agent with a credential and gives it a token.
func (w *world) agent(owner, name string, capabilities ...string) {
	w.t.Helper()
	body, err := json.Marshal(map[string]any{
		"email": name + "@example.com", "agentType": "custom", "version": "1.0.0", "owner": "tests", "deploymentEnv": "staging",
		"capabilities": append([]string{}, capabilities...),
	})
	require.NoError(w.t, err)
	token := w.token(owner, w.set.issuer)
	created := w.call(token, http.MethodPost, "/api/v1/agents", string(body))
	require.Equal(w.t, http.StatusCreated, created.status, string(created.body))
	id := created.text("agentId")
	issued := w.call(token, http.MethodPost, "/api/v1/agents/"+id+"/credentials", "")
	require.Equal(w.t, http.StatusCreated, issued.status, string(issued.body))
	w.remember(name, id, issued.text("credentialId"), issued.text("clientId"), issued.text("clientSecret"))
	w.vars[name+".token"] = w.token(name, w.set.issuer)
}

// organization founds an organization and remembers its administrator under name.
func (w *world) organization(id, name string) {
	w.t.Helper()
	a := w.call(w.token("admin", w.set.issuer), http.MethodPost, "/api/v1/organizations", `{"organizationId":"`+id+`","name":"`+id+`"}`)
	require.Equal(w.t, http.StatusCreated, a.status, string(a.body))
	w.remember(name, a.text("administrator.agentId"), a.text("credential.credentialId"), a.text("credential.clientId"), a.text("credential.clientSecret"))
	w.vars[name+".token"] = w.token(name, w.set.issuer)
}
