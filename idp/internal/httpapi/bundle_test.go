package httpapi_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/bundle"
	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/policies"
	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/shared/policy"
	"github.com/sentryagent/agentidp/shared/token"
)

const bundlePath = "/bundles/authz.tar.gz"

// verification is what OPA is configured with: the public keys of the JWKS.
func (w *world) verification() *bundle.VerificationConfig {
	w.t.Helper()
	keys, _, err := token.ParseJWKS(w.call("", http.MethodGet, "/.well-known/jwks.json", "").body)
	require.NoError(w.t, err)
	var document token.JWKS
	require.NoError(w.t, json.Unmarshal(w.call("", http.MethodGet, "/.well-known/jwks.json", "").body, &document))
	configs := map[string]*bundle.KeyConfig{}
	for _, k := range document.Keys {
		public, err := keys.Key(k.KeyID)
		require.NoError(w.t, err)
		der, err := x509.MarshalPKIXPublicKey(public.Public())
		require.NoError(w.t, err)
		configs[k.KeyID] = &bundle.KeyConfig{Key: string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), Algorithm: "RS256"}
	}
	return bundle.NewVerificationConfig(configs, "", "", nil)
}

func readBundle(body []byte, config *bundle.VerificationConfig) (bundle.Bundle, error) {
	return bundle.NewReader(bytes.NewReader(body)).WithBundleVerificationConfig(config).WithRegoVersion(ast.RegoV1).Read()
}

// bundleFiles unpacks a bundle.
func bundleFiles(t *testing.T, body []byte) fstest.MapFS {
	t.Helper()
	compressed, err := gzip.NewReader(bytes.NewReader(body))
	require.NoError(t, err)
	files := fstest.MapFS{}
	for archive := tar.NewReader(compressed); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		require.NoError(t, err)
		content, err := io.ReadAll(archive)
		require.NoError(t, err)
		files[header.Name] = &fstest.MapFile{Data: content}
	}
}

func TestBundleIsVerifiedByOPAWithTheKeySet(t *testing.T) {
	w := newWorld(t, setting{})
	admin := w.token("admin", w.set.issuer)
	got := w.call(admin, http.MethodGet, bundlePath, "")
	require.Equal(t, http.StatusOK, got.status)
	read, err := readBundle(got.body, w.verification())
	require.NoError(t, err)
	require.Equal(t, w.policy.Revision(), read.Manifest.Revision)

	loaded, err := policy.New(t.Context(), bundleFiles(t, got.body), policy.Options{Timeout: time.Minute, TestTimeout: time.Minute})
	require.NoError(t, err)
	require.Equal(t, w.policy.Revision(), loaded.Revision())

	// One byte of the compressed stream, wherever it lies: OPA refuses, or reads the same files.
	for at := 0; at < len(got.body); at += 97 {
		changed := bytes.Clone(got.body)
		changed[at] ^= 1
		if again, err := readBundle(changed, w.verification()); err == nil {
			require.True(t, read.Equal(again), "byte %d", at)
		}
	}

	var signatures bundle.SignaturesConfig
	require.NoError(t, json.Unmarshal(bundleFiles(t, got.body)[".signatures.json"].Data, &signatures))
	require.Equal(t, http.StatusUnauthorized, w.call(signatures.Signatures[0], http.MethodGet, bundlePath, "").status, "a signature is no access token")
}

func TestBundleChangesWithPolicyAndKey(t *testing.T) {
	w := newWorld(t, setting{})
	admin := w.token("admin", w.set.issuer)
	first := w.call(admin, http.MethodGet, bundlePath, "")
	tag := first.header.Get("ETag")
	require.Equal(t, first.body, w.call(admin, http.MethodGet, bundlePath, "").body)
	unchanged := w.call(admin, http.MethodGet, bundlePath, "", "If-None-Match", tag)
	require.Equal(t, http.StatusNotModified, unchanged.status)
	require.Empty(t, unchanged.body)
	require.Equal(t, tag, unchanged.header.Get("ETag"))

	require.Equal(t, http.StatusAccepted, w.call(admin, http.MethodPost, "/api/v1/keys/rotate", `{"emergency": true, "reason": "test"}`).status)
	admin = w.token("admin", w.set.issuer)
	second := w.call(admin, http.MethodGet, bundlePath, "", "If-None-Match", tag)
	require.Equal(t, http.StatusOK, second.status, "another key")
	_, err := readBundle(second.body, w.verification())
	require.NoError(t, err)
	_, err = readBundle(first.body, w.verification())
	require.Error(t, err, "the key before is revoked")

	require.NoError(t, w.policy.Reload(t.Context(), policies.Sidecar))
	third := w.call(w.token("admin", w.set.issuer), http.MethodGet, bundlePath, "", "If-None-Match", second.header.Get("ETag"))
	require.Equal(t, http.StatusOK, third.status, "another policy")
	read, err := readBundle(third.body, w.verification())
	require.NoError(t, err)
	require.Equal(t, []string{"agentidp/authz", "agentidp/authz_test", "agentidp/reserved"}, *read.Manifest.Roots)
}

// failing answers everything that the management API needs, and fails on what a test asks for.
const failing = `package agentidp.authz

decision := {"allow": true, "reason": "all"} if not startswith(input.route.id, "/")

decision := {"allow": true, "reason": "slow"} if {
	input.route.id == "/slow"
	upto := numbers.range(1, 3000)
	pairs := [1 | some i in upto; some j in upto; i * j == input.token.exp]
	count(pairs) >= 0
}

decision := {"allow": true, "reason": "error"} if {
	input.route.id == "/error"
	1 / input.token.exp == 1
}

decision := {"allow": true, "reason": "obliged", "obligations": {"mask": 1}} if input.route.id == "/obliged"
`

func TestDryRunFailsAsThePolicyDoes(t *testing.T) {
	w := newWorld(t, setting{})
	require.NoError(t, w.policy.Reload(t.Context(), fstest.MapFS{"authz.rego": {Data: []byte(failing)}}))
	require.Error(t, w.policy.Reload(t.Context(), fstest.MapFS{"authz.rego": {Data: []byte("package agentidp.authz\n")}}))
	admin := w.token("admin", w.set.issuer)
	for route, reason := range map[string]string{"/slow": policy.ReasonTimeout, "/error": policy.ReasonError, "/obliged": policy.ReasonError, "/none": policy.ReasonError} {
		got := w.call(admin, http.MethodPost, "/api/v1/policies/evaluate", `{"route": {"id": "`+route+`", "capability": "notes:read"}}`)
		require.Equal(t, http.StatusOK, got.status, route)
		allow, _ := lookup(got.json(), "allow")
		require.Equal(t, false, allow, route)
		require.Equal(t, reason, got.text("reason"), route)
		require.NotEmpty(t, got.text("error"), route)
		require.Equal(t, w.policy.Revision(), got.text("revision"))
	}

	// Dry runs that take all the time they may do not run side by side, nor do they wait without end.
	answers := make([]string, 60)
	var calls sync.WaitGroup
	for i := range answers {
		calls.Go(func() {
			got := w.call(admin, http.MethodPost, "/api/v1/policies/evaluate", `{"route": {"id": "/slow", "capability": "notes:read"}}`)
			answers[i] = got.text("reason") + got.text("code")
		})
	}
	calls.Wait()
	slices.Sort(answers)
	require.Equal(t, []string{string(apierr.Overloaded), policy.ReasonTimeout}, slices.Compact(answers))

	shown := w.call(admin, http.MethodGet, "/api/v1/policies", "")
	require.Contains(t, shown.text("lastError.message"), "undefined")
	require.Equal(t, failing, shown.text("files.0.text"))
	epoch, _ := lookup(shown.json(), "epoch")
	require.InDelta(t, 2, epoch, 0)
	w.organization("acme", "tenant")
	tenant := w.call(w.vars["tenant.token"], http.MethodGet, "/api/v1/policies", "")
	require.Equal(t, http.StatusOK, tenant.status)
	_, told := lookup(tenant.json(), "lastError")
	require.False(t, told, "a broken folder is the operator's matter")
}

// A dry run about a message is about all that a sidecar tells of one; without
// one the policy finds none.
func TestDryRunOfAMessage(t *testing.T) {
	w := newWorld(t, setting{})
	require.NoError(t, w.policy.Reload(t.Context(), fstest.MapFS{"authz.rego": {Data: []byte(`package agentidp.authz

decision := {"allow": true, "reason": "no_message"} if not input.rpc

decision := {"allow": false, "reason": concat("_", [input.rpc.protocol, input.rpc.name])} if input.rpc.method == "call"

decision := {"allow": true, "reason": "unnamed"} if input.rpc == {"protocol": "a2a", "method": "", "name": ""}
`)}}))
	admin := w.token("admin", w.set.issuer)
	for message, reason := range map[string]string{
		"": "no_message", `, "rpc": {"protocol": "mcp", "method": "call", "name": "search"}`: "mcp_search", `, "rpc": {"protocol": "a2a", "method": ""}`: "unnamed",
	} {
		got := w.call(admin, http.MethodPost, "/api/v1/policies/evaluate", `{"route": {"id": "/mcp", "capability": "public"}`+message+`}`)
		require.Equal(t, http.StatusOK, got.status, message)
		require.Equal(t, reason, got.text("reason"), message)
	}
}

// pollBundle asks for the bundle after the one with the tag.
func (w *world) pollBundle(token, tag string) *poll {
	ctx, cancel := context.WithCancel(w.t.Context())
	p := &poll{cancel: cancel, done: make(chan *http.Response, 1)}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.base+bundlePath+"?wait=30", nil)
	require.NoError(w.t, err)
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("If-None-Match", tag)
	go func() {
		response, err := w.http.Do(request)
		if err != nil {
			response = nil
		}
		p.done <- response
	}()
	w.t.Cleanup(cancel)
	return p
}

func TestBundlePollEndsWithNews(t *testing.T) {
	w := newWorld(t, setting{maxPolls: 1})
	admin := w.token("admin", w.set.issuer)
	tag := w.call(admin, http.MethodGet, bundlePath, "").header.Get("ETag")
	require.Equal(t, http.StatusOK, w.call(admin, http.MethodGet, bundlePath+"?wait=30", "", "If-None-Match", `"other"`).status, "another bundle than the caller's does not wait")
	require.Equal(t, http.StatusNotModified, w.call(admin, http.MethodGet, bundlePath+"?wait=1", "", "If-None-Match", tag).status, "none came")

	p := w.pollBundle(admin, tag)
	w.waiting("1")
	full := w.call(admin, http.MethodGet, bundlePath+"?wait=1", "", "If-None-Match", tag)
	require.Equal(t, http.StatusServiceUnavailable, full.status)
	require.NoError(t, w.policy.Reload(t.Context(), policies.Sidecar))
	changed := p.answer(t)
	require.Equal(t, http.StatusOK, changed.StatusCode, "another policy")
	w.waiting("0")

	p = w.pollBundle(admin, changed.Header.Get("ETag"))
	w.waiting("1")
	require.Equal(t, http.StatusAccepted, w.call(admin, http.MethodPost, "/api/v1/keys/rotate", `{"emergency": true, "reason": "test"}`).status)
	signed := p.answer(t)
	require.Equal(t, http.StatusOK, signed.StatusCode, "another key")

	p = w.pollBundle(w.token("admin", w.set.issuer), signed.Header.Get("ETag"))
	w.waiting("1")
	w.stop()
	require.Equal(t, http.StatusNotModified, p.answer(t).StatusCode, "the end of the server")
}
