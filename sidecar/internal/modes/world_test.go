package modes_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/policies"
	"github.com/sentryagent/agentidp/shared/decision"
	"github.com/sentryagent/agentidp/shared/policy"
	"github.com/sentryagent/agentidp/shared/token"
	"github.com/sentryagent/agentidp/sidecar/internal/authn"
	"github.com/sentryagent/agentidp/sidecar/internal/decide"
	"github.com/sentryagent/agentidp/sidecar/internal/proxy"
	"github.com/sentryagent/agentidp/sidecar/internal/route"
)

const routes = `
routes:
  - {methods: [GET], path: /notes, capability: "notes:read"}
  - {methods: [POST, PUT], path: /notes, capability: "notes:write"}
  - {methods: [GET, DELETE], path: "/notes/{id}", capability: "notes:read"}
  - {methods: [GET], path: /secret, capability: "secret:read"}
  - {methods: [GET, POST], path: /open, capability: public}
  - {methods: [GET], path: "/pub/**", capability: public}
  - {methods: [GET], path: /token, capability: "notes:read", forwardToken: true}
  - {methods: [GET], path: /shadow, capability: "secret:read", mode: shadow}
  - {methods: [GET], path: /seldom, capability: "notes:read", rateLimit: {requests: 1, per: 1h}}
  - {methods: [GET], path: /rare, capability: public, rateLimit: {requests: 1, per: 1h}}
  - {methods: [GET], path: /notes, host: admin.example, capability: "admin:read"}
`

const (
	issuer       = "https://idp.example"
	audience     = "https://notes.example"
	organization = "org-1"
	agentID      = "7b5f0c9e-6d53-4c1c-9f6b-0a3b8f1f2f11"
	clientID     = "aidp_c_0123456789abcdefghijkl"
	revoked      = "revoked-jti"
)

// world is what all modes have in common: keys, tokens, the policy.
type world struct {
	keys    keys
	tokens  map[string]string // by name, as {name} stands for one in testdata
	tokener *authn.Authenticator
	decider *decide.Decider
	table   *route.Table
}

// keys are one public key that never changes.
type keys struct {
	kid string
	key *rsa.PublicKey
}

func (k keys) Key(kid string) (*token.Key, error) {
	if kid == k.kid {
		return token.NewKey(k.key), nil
	}
	return nil, token.ErrUnknownKey
}

func (k keys) Epoch() uint64                            { return 1 }
func (k keys) Refetch(_ context.Context, _ string) bool { return false }

func newWorld(t *testing.T) *world {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	w := &world{keys: keys{token.Thumbprint(&key.PublicKey), &key.PublicKey}}
	w.tokens = tokens(t, key, w.keys.kid)
	w.tokener, err = authn.New(authn.Options{Issuer: issuer, Audience: audience, Keys: w.keys, Leeway: 5 * time.Second})
	require.NoError(t, err)
	t.Cleanup(w.tokener.Close)
	holder, err := policy.NewHolder(t.Context(), policies.Sidecar, policy.Options{Sidecar: true})
	require.NoError(t, err)
	w.decider, err = decide.New(holder, decide.Options{})
	require.NoError(t, err)
	t.Cleanup(w.decider.Close)
	w.table, err = route.Load([]byte(routes))
	require.NoError(t, err)
	return w
}

// tokens are good ones and bad ones of many kinds.
func tokens(t *testing.T, key *rsa.PrivateKey, kid string) map[string]string {
	now := time.Now().Unix()
	sign := func(method jwt.SigningMethod, by any, header map[string]any, change jwt.MapClaims) string {
		claims := jwt.MapClaims{
			"iss": issuer, "sub": agentID, "aud": audience, "client_id": clientID, "scope": "notes:read notes:write", "org": organization,
			"iat": now, "exp": now + 600, "jti": rand.Text(), "rev": []int{0, 0, 0},
		}
		maps.Copy(claims, change)
		j := jwt.NewWithClaims(method, claims)
		j.Header["typ"], j.Header["kid"] = "at+jwt", kid
		maps.Copy(j.Header, header)
		raw, err := j.SignedString(by)
		require.NoError(t, err)
		return raw
	}
	signed := func(change jwt.MapClaims) string { return sign(jwt.SigningMethodRS256, key, nil, change) }
	headed := func(header map[string]any) string { return sign(jwt.SigningMethodRS256, key, header, nil) }
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	good := signed(nil)
	return map[string]string{
		"good": good, "reader": signed(jwt.MapClaims{"scope": "notes:read"}), "wide": signed(jwt.MapClaims{"scope": "notes:* secret:read admin:read"}),
		"expired":   signed(jwt.MapClaims{"iat": now - 700, "exp": now - 100}),
		"early":     signed(jwt.MapClaims{"nbf": now + 100}),
		"lasting":   signed(jwt.MapClaims{"exp": now + 4000}),
		"audience":  signed(jwt.MapClaims{"aud": "https://other.example"}),
		"issuer":    signed(jwt.MapClaims{"iss": "https://evil.example"}),
		"stranger":  signed(jwt.MapClaims{"org": "org-2"}),
		"revoked":   signed(jwt.MapClaims{"jti": revoked}),
		"nosubject": signed(jwt.MapClaims{"sub": ""}),
		"typed":     headed(map[string]any{"typ": "JWT"}),
		"unknown":   headed(map[string]any{"kid": "unknown"}),
		"critical":  headed(map[string]any{"crit": []string{"x"}, "x": 1}),
		"forged":    sign(jwt.SigningMethodRS256, other, nil, nil),
		"unsigned":  sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil, nil),
		"symmetric": sign(jwt.SigningMethodHS256, []byte("secret"), nil, nil),
		"truncated": good[:len(good)-10],
		"extra":     good + "." + "eA",
		"oversize":  "a." + strings.Repeat("b", 9000) + ".c",
	}
}

// revocations in memory: one token.
type revocations struct{}

func (revocations) Revoked(c *token.Claims) (string, bool) { return "token_revoked", c.JTI == revoked }
func (revocations) Stale() bool                            { return false }
func (revocations) Known() bool                            { return true }

// verifier gives the proxy what the authenticator found.
type verifier struct{ *authn.Authenticator }

func (v verifier) Recall(raw string) (proxy.Identity, bool) {
	identity, known := v.Authenticator.Recall(raw)
	return proxy.Identity(identity), known
}

func (v verifier) Verify(ctx context.Context, raw string) (proxy.Identity, error) {
	identity, err := v.Authenticator.Verify(ctx, raw)
	return proxy.Identity(identity), err
}

// recorder keeps records in memory.
type recorder struct {
	mu      sync.Mutex
	records []decision.Record // guarded by mu
}

func (r *recorder) Owe(int64) {}

func (r *recorder) Admit() error { return nil }

func (r *recorder) Append(record *decision.Record) (int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.records = append(r.records, *record)
	return int64(len(r.records)), nil
}

// since is what was recorded after the first n.
func (r *recorder) since(n int) []decision.Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.records[n:])
}

// arrival is a request as the API gets it.
type arrival struct {
	Method, Target, Host string
	Header               http.Header
}

// api remembers what arrived.
type api struct {
	*httptest.Server
	mu       sync.Mutex
	arrivals []arrival // guarded by mu
}

func newAPI(t *testing.T) *api {
	a := &api{}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		a.arrivals = append(a.arrivals, arrival{r.Method, r.RequestURI, r.Host, r.Header.Clone()})
		a.mu.Unlock()
		_, _ = io.WriteString(w, "hello")
	}))
	t.Cleanup(a.Close)
	return a
}

func (a *api) since(n int) []arrival {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.arrivals[n:])
}

// scene is an engine of its own in front of an API of its own.
type scene struct {
	t       *testing.T
	world   *world
	api     *api
	records *recorder
	proxy   *proxy.Proxy
}

func (w *world) scene(t *testing.T) *scene {
	t.Helper()
	s := &scene{t: t, world: w, api: newAPI(t), records: &recorder{}}
	var err error
	s.proxy, err = proxy.New(proxy.Options{
		Upstream: proxy.Upstream{URL: s.api.URL}, Routes: w.table, Verifier: verifier{w.tokener}, Revocations: revocations{}, Decider: w.decider,
		Recorder: s.records, Organizations: func(id string) bool { return id == organization }, Log: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	return s
}
