package vaulttest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// double is a Vault in a few maps. One lock for all: it is not here to be fast.
type double struct {
	mu       sync.Mutex
	sealed   bool
	tokens   map[string]*token
	mounts   map[string]map[string]*entry // KV version 2
	keys     map[string]int               // transit: newest version
	sealedBy map[string]sealed            // what transit gave out
	roles    map[string]*role             // of AppRole by name
	pods     map[string]*role             // of Kubernetes by name
	reviewer reviewer
}

// failure is an answer that is no success.
type failure struct {
	status int
	errors []string
	data   any // of a 404 that is about a version
}

func fail(status int, errors ...string) *failure { return &failure{status: status, errors: errors} }

// reply is a successful answer; the zero value is 204.
type reply struct {
	mount string
	data  any
	auth  any
}

// NewDouble starts a double that ends with the test.
func NewDouble(t testing.TB) *Server {
	t.Helper()
	const root, key = "hvs.root", "dW5zZWFs"
	d := &double{
		tokens: map[string]*token{root: {path: "auth/token/root", policies: []string{"root"}, orphan: true}},
		mounts: map[string]map[string]*entry{"secret": {}}, keys: map[string]int{}, sealedBy: map[string]sealed{},
		roles: map[string]*role{}, pods: map[string]*role{},
	}
	server := httptest.NewServer(d)
	t.Cleanup(server.Close)
	return &Server{Name: "double", Addr: server.URL, Token: root, UnsealKey: key, Pinned: true}
}

// call is one request.
type call struct {
	method string
	path   []string
	query  func(string) string
	body   map[string]any
	id     string // the token
	token  *token // nil before a login
}

func (c *call) text(name string) string {
	text, _ := c.body[name].(string)
	return text
}

// is reports whether the path matches a pattern in which a star is one segment and a last ** any number.
func (c *call) is(method, pattern string) bool {
	want := strings.Split(pattern, "/")
	open := want[len(want)-1] == "**"
	if open {
		want = want[:len(want)-1]
	}
	if c.method != method || len(c.path) < len(want) || !open && len(c.path) != len(want) {
		return false
	}
	for i, segment := range want {
		if segment != "*" && segment != c.path[i] {
			return false
		}
	}
	return true
}

// ServeHTTP implements http.Handler.
func (d *double) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{
		method: r.Method, path: strings.Split(strings.TrimPrefix(r.URL.Path, "/v1/"), "/"), query: r.URL.Query().Get,
		id: r.Header.Get("X-Vault-Token"),
	}
	_ = json.NewDecoder(r.Body).Decode(&c.body) // no body is none
	d.mu.Lock()
	answer, failed := d.serve(c)
	d.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	switch {
	case failed != nil && failed.data != nil:
		w.WriteHeader(failed.status)
		_ = json.NewEncoder(w).Encode(envelope(reply{data: failed.data}))
	case failed != nil:
		w.WriteHeader(failed.status)
		_ = json.NewEncoder(w).Encode(map[string]any{"errors": append([]string{}, failed.errors...)})
	case answer == reply{}:
		w.WriteHeader(http.StatusNoContent)
	default:
		_ = json.NewEncoder(w).Encode(envelope(answer))
	}
}

func envelope(r reply) map[string]any {
	return map[string]any{
		"request_id": "1", "lease_id": "", "renewable": false, "lease_duration": 0, "data": r.data, "wrap_info": nil,
		"warnings": nil, "auth": r.auth, "mount_type": r.mount,
	}
}

func (d *double) serve(c *call) (reply, *failure) {
	switch {
	case c.is("PUT", "sys/unseal"):
		d.sealed = false
		return reply{mount: "system", data: map[string]any{"sealed": false}}, nil
	case d.sealed:
		return reply{}, fail(http.StatusServiceUnavailable, "Vault is sealed")
	case c.is("GET", "sys/health"):
		return reply{mount: "system", data: map[string]any{"sealed": false}}, nil
	case c.is("PUT", "auth/*/login"):
		return d.login(c)
	}
	if failed := d.authenticate(c); failed != nil {
		return reply{}, failed
	}
	if c.path[0] == "auth" && c.path[1] == "token" {
		return d.token(c)
	}
	if !slices.ContainsFunc(c.token.policies, func(p string) bool { return p == "root" || strings.HasPrefix(p, "everything") }) {
		return reply{}, fail(http.StatusForbidden, "1 error occurred:\n\t* permission denied\n\n")
	}
	switch c.path[0] {
	case "sys":
		return d.system(c)
	case "auth":
		return d.configureLogin(c)
	case "transit":
		return d.transit(c)
	}
	return d.keyValue(c)
}

func (d *double) authenticate(c *call) *failure {
	if c.id == "" {
		return fail(http.StatusForbidden, "permission denied")
	}
	c.token = d.tokens[c.id]
	if c.token == nil || !c.token.expires.IsZero() && !time.Now().Before(c.token.expires) {
		return fail(http.StatusForbidden, "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n")
	}
	return nil
}

func (d *double) system(c *call) (reply, *failure) {
	switch {
	case c.is("PUT", "sys/seal"):
		d.sealed = true
	case c.is("PUT", "sys/mounts/*"):
		d.mounts[c.path[2]] = map[string]*entry{}
	case c.is("DELETE", "sys/mounts/*"):
		delete(d.mounts, c.path[2])
	case c.is("PUT", "sys/policies/acl/*"):
	default:
		return reply{}, fail(http.StatusNotFound)
	}
	return reply{}, nil
}
