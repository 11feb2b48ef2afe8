package httpapi_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/jwksfetch"
)

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// makeKey keeps a new key under name: {{name.jwks}} is its set.
func (w *world) makeKey(name string) {
	w.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(w.t, err)
	point, err := key.PublicKey.Bytes()
	require.NoError(w.t, err)
	segment := base64.RawURLEncoding.EncodeToString
	w.vars[name+".jwk"] = fmt.Sprintf(`{"kty":"EC","use":"sig","kid":"%s","crv":"P-256","x":"%s","y":"%s"}`, name, segment(point[1:33]), segment(point[33:]))
	w.vars[name+".jwks"] = `{"keys":[` + w.vars[name+".jwk"] + `]}`
	if w.keys == nil {
		w.keys = map[string]*ecdsa.PrivateKey{}
	}
	w.keys[name] = key
}

// assertion signs a good one, but for the claims given.
func (w *world) assertion(key, client string, claims map[string]any) string {
	w.t.Helper()
	now := w.clock.now().Unix()
	all := jwt.MapClaims{"iss": client, "sub": client, "aud": w.set.issuer, "jti": uuid.NewString(), "iat": now, "exp": now + 60}
	for name, value := range claims {
		all[name] = value
	}
	token := jwt.NewWithClaims(jwt.SigningMethodES256, all)
	token.Header["kid"] = key
	raw, err := token.SignedString(w.keys[key])
	require.NoError(w.t, err)
	return raw
}

// assert is the directive "variable key client [claim=JSON…]": {{variable}} is
// the form of an assertion.
func (w *world) assert(words []string) {
	w.t.Helper()
	claims := map[string]any{}
	for _, word := range words[3:] {
		name, text, _ := strings.Cut(word, "=")
		var value any
		require.NoError(w.t, json.Unmarshal([]byte(text), &value), word)
		claims[name] = value
	}
	w.vars[words[0]] = "client_assertion_type=" + url.QueryEscape(assertionType) + "&client_assertion=" + w.assertion(words[1], words[2], claims)
}

// keyed registers an agent with keys as given, and a credential without a secret.
func (w *world) keyed(name, keys string) (client string) {
	w.t.Helper()
	admin := w.token("admin", w.set.issuer)
	created := w.call(admin, http.MethodPost, "/api/v1/agents",
		`{"email":"`+name+`@example.com","agentType":"custom","version":"1.0.0","owner":"tests","deploymentEnv":"staging","capabilities":["notes:read"],`+keys+`}`)
	require.Equal(w.t, http.StatusCreated, created.status, string(created.body))
	issued := w.call(admin, http.MethodPost, "/api/v1/agents/"+created.text("agentId")+"/credentials", `{"authMethod":"private_key_jwt"}`)
	require.Equal(w.t, http.StatusCreated, issued.status, string(issued.body))
	return issued.text("clientId")
}

func assertionForm(raw string) url.Values {
	return url.Values{"grant_type": {"client_credentials"}, "client_assertion_type": {assertionType}, "client_assertion": {raw}}
}

// One assertion in many hands at once is one token.
func TestOneAssertionIsOneToken(t *testing.T) {
	for backend := range stores {
		t.Run(backend, func(t *testing.T) {
			w := newWorld(t, setting{backend: backend})
			w.makeKey("key")
			client := w.keyed("keyed", `"jwks":`+w.vars["key.jwks"])
			raw := w.assertion("key", client, nil)
			statuses := make(chan int, 16)
			for range cap(statuses) {
				go func() {
					answer, err := w.http.PostForm(w.base+"/api/v1/token", assertionForm(raw))
					if err != nil {
						statuses <- 0
						return
					}
					_ = answer.Body.Close()
					statuses <- answer.StatusCode
				}()
			}
			count := map[int]int{}
			for range cap(statuses) {
				count[<-statuses]++
			}
			require.Equal(t, map[int]int{http.StatusOK: 1, http.StatusUnauthorized: cap(statuses) - 1}, count)
			w.events("one token", "token.issued", "*", "3") // two of the administrator's
		})
	}
}

// The whole way: keys at an address, fetched behind the guard, rotated there.
func TestKeysByAddress(t *testing.T) {
	var body atomic.Value
	site := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		text := body.Load().(string)
		if text == "" {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/jwk-set+json")
		_, _ = w.Write([]byte(text))
	}))
	t.Cleanup(site.Close)
	roots, clock := x509.NewCertPool(), &clock{}
	roots.AddCert(site.Certificate())
	source := jwksfetch.New(jwksfetch.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Roots: roots, Now: clock.now})
	t.Cleanup(source.Close)
	w := newWorld(t, setting{keySource: source})
	advance := func(seconds string) {
		w.direct("", []string{"advance", seconds})
		clock.offset.Store(w.clock.offset.Load())
	}
	w.makeKey("one")
	w.makeKey("two")
	body.Store("")
	client := w.keyed("remote", `"jwksUri":"`+site.URL+`/keys.json"`)
	ask := func(key string, status int, reason string) {
		t.Helper()
		a := w.form("/api/v1/token", "", assertionForm(w.assertion(key, client, nil)))
		require.Equal(t, status, a.status, string(a.body))
		require.Equal(t, reason, a.text("error"))
		if status == http.StatusServiceUnavailable {
			require.NotEmpty(t, a.header.Get("Retry-After"))
		}
	}
	ask("one", http.StatusServiceUnavailable, "temporarily_unavailable")
	body.Store(w.vars["one.jwks"])
	advance("30s")
	ask("one", http.StatusOK, "")
	ask("two", http.StatusUnauthorized, "invalid_client")
	body.Store(`{"keys":[` + w.vars["one.jwk"] + `,` + w.vars["two.jwk"] + `]}`)
	advance("30s")
	ask("two", http.StatusOK, "")
	ask("one", http.StatusOK, "")
	body.Store(w.vars["two.jwks"])
	advance("300s")
	ask("one", http.StatusUnauthorized, "invalid_client")
	body.Store("")
	advance("300s")
	ask("two", http.StatusOK, "")
	ask("one", http.StatusServiceUnavailable, "temporarily_unavailable")
	w.keepsSecrets("by address")
}
