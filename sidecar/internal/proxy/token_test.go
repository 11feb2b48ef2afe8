package proxy_test

import (
	"bufio"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/token"
	"github.com/sentryagent/agentidp/sidecar/internal/proxy"
	"github.com/sentryagent/agentidp/sidecar/internal/route"
)

func b64(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// forgery is one bad token of section A and what the sidecar must say to it.
type forgery struct {
	row, raw string
	reason   token.Reason
}

func forgeries(t *testing.T, canary string) []forgery {
	m := tokens(t)
	rs := jwt.SigningMethodRS256
	header := func(edit func(h map[string]any)) string {
		return m.sign(t, rs, m.key, func(h map[string]any, _ jwt.MapClaims) { edit(h) })
	}
	claim := func(name string, value any) string {
		return m.sign(t, rs, m.key, func(_ map[string]any, c jwt.MapClaims) {
			if value == nil {
				delete(c, name)
			} else {
				c[name] = value
			}
		})
	}
	// assembled signs exactly these texts.
	assembled := func(header, payload string) string {
		signing := b64(header) + "." + b64(payload)
		signature, err := rs.Sign(signing, m.key)
		require.NoError(t, err)
		return signing + "." + base64.RawURLEncoding.EncodeToString(signature)
	}
	payload, err := json.Marshal(claims("notes:read"))
	require.NoError(t, err)
	plain := fmt.Sprintf(`{"alg":"RS256","typ":"at+jwt","kid":%q}`, m.kid)
	der, err := x509.MarshalPKIXPublicKey(&m.key.PublicKey)
	require.NoError(t, err)
	jwk, err := json.Marshal(token.PublicJWK(&m.key.PublicKey))
	require.NoError(t, err)
	hmac := func(key []byte) string {
		return m.sign(t, jwt.SigningMethodHS256, key, nil)
	}
	good := m.good(t)
	now := time.Now().Unix()

	all := []forgery{
		{"A1 none", b64(fmt.Sprintf(`{"alg":"none","typ":"at+jwt","kid":%q}`, m.kid)) + "." + b64(string(payload)) + ".", token.Malformed},
		{"A1 nOnE", b64(fmt.Sprintf(`{"alg":"nOnE","typ":"at+jwt","kid":%q}`, m.kid)) + "." + b64(string(payload)) + "." + b64("x"), token.BadAlgorithm},
		{"A1 none with a signature", assembled(fmt.Sprintf(`{"alg":"none","typ":"at+jwt","kid":%q}`, m.kid), string(payload)), token.BadAlgorithm},
		{"A1 no signature", good[:strings.LastIndexByte(good, '.')+1], token.Malformed},
		{"A2 HS256 with the PEM", hmac(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), token.BadAlgorithm},
		{"A2 HS256 with the DER", hmac(der), token.BadAlgorithm},
		{"A2 HS256 with the JWK", hmac(jwk), token.BadAlgorithm},
		{"A2 RS256 said, HS256 done", strings.Replace(hmac(der), b64(`{"alg":"HS256"`)[:8], b64(`{"alg":"RS256"`)[:8], 1), token.BadAlgorithm},
		{"A3 RS384", m.sign(t, jwt.SigningMethodRS384, m.key, nil), token.BadAlgorithm},
		{"A3 RS512", m.sign(t, jwt.SigningMethodRS512, m.key, nil), token.BadAlgorithm},
		{"A3 PS256", m.sign(t, jwt.SigningMethodPS256, m.key, nil), token.BadAlgorithm},
		{"A3 ES256", m.sign(t, jwt.SigningMethodES256, m.ec, nil), token.BadAlgorithm},
		{"A3 EdDSA", m.sign(t, jwt.SigningMethodEdDSA, m.ed, nil), token.BadAlgorithm},
		{"A4 path", header(func(h map[string]any) { h["kid"] = "../../x" }), token.UnknownKey},
		{"A4 SQL", header(func(h map[string]any) { h["kid"] = "' OR 1=1" }), token.UnknownKey},
		{"A4 LF", header(func(h map[string]any) { h["kid"] = "a\nb" }), token.UnknownKey},
		{"A4 missing", header(func(h map[string]any) { delete(h, "kid") }), token.Malformed},
		{"A4 number", header(func(h map[string]any) { h["kid"] = 1 }), token.Malformed},
		{"A4 4 KiB", header(func(h map[string]any) { h["kid"] = strings.Repeat("k", 4<<10) }), token.Oversize},
		{"A5 jwk", m.sign(t, rs, m.other, func(h map[string]any, _ jwt.MapClaims) { h["jwk"] = token.PublicJWK(&m.other.PublicKey) }), token.CriticalHeader},
		{"A5 jku", m.sign(t, rs, m.other, func(h map[string]any, _ jwt.MapClaims) { h["jku"] = canary }), token.CriticalHeader},
		{"A5 x5u", m.sign(t, rs, m.other, func(h map[string]any, _ jwt.MapClaims) { h["x5u"] = canary }), token.CriticalHeader},
		{"A5 x5c", m.sign(t, rs, m.other, func(h map[string]any, _ jwt.MapClaims) { h["x5c"] = []string{base64.StdEncoding.EncodeToString(der)} }), token.CriticalHeader},
		{"A6 crit", header(func(h map[string]any) { h["crit"], h["exp2"] = []string{"exp2"}, 1 }), token.CriticalHeader},
		{"A7 other last character", respell(good), token.Malformed},
		{"A7 padding", good + "==", token.Malformed},
		{"A7 signature of another token", good[:strings.LastIndexByte(good, '.')] + m.good(t)[strings.LastIndexByte(m.good(t), '.'):], token.BadSignature},
		{"A7 another key", m.sign(t, rs, m.other, nil), token.BadSignature},
		{"A8 no exp", claim("exp", nil), token.ClaimsInvalid},
		{"A8 exp 0", claim("exp", 0), token.ClaimsInvalid},
		{"A8 exp text", claim("exp", "9999999999"), token.ClaimsInvalid},
		{"A8 expired", claim("exp", now-100), token.Expired},
		{"A8 exp 1e300", claim("exp", 1e300), token.ClaimsInvalid},
		{"A8 nbf future", claim("nbf", now+300), token.NotYetValid},
		{"A8 iat future", m.good(t, map[string]any{"iat": now + 300}), token.NotYetValid},
		{"A8 lifetime", claim("exp", now+7200), token.Lifetime},
		{"A9 no aud", claim("aud", nil), token.ClaimsInvalid},
		{"A9 other aud", claim("aud", "https://other.example"), token.AudienceMismatch},
		{"A9 aud with a number", claim("aud", []any{audience, 5}), token.ClaimsInvalid},
		{"A9 aud is a prefix", claim("aud", audience+"/x"), token.AudienceMismatch},
		{"A9 aud is a part of ours", claim("aud", audience[:len(audience)-1]), token.AudienceMismatch},
		{"A9 aud in other case", claim("aud", strings.ToUpper(audience)), token.AudienceMismatch},
		{"A9 other issuer", claim("iss", "https://other.example"), token.IssuerMismatch},
		{"A9 issuer with a slash", claim("iss", issuer+"/"), token.IssuerMismatch},
		{"A10 only dots", strings.Repeat(".", 8<<10), token.Malformed},
		{"A10 9 KiB", good + strings.Repeat("A", 9<<10), token.Oversize},
		{"A10 deep header", b64(strings.Repeat(`{"a":`, 600)+"1"+strings.Repeat("}", 600)) + "." + b64("{}") + ".AA", token.Oversize},
		{"A11 JWE", b64(`{"alg":"dir","enc":"A256GCM","zip":"DEF"}`) + ".." + b64("123456789012") + "." + strings.Repeat("A", 4<<10) + "." + b64("1234567890123456"), token.Malformed},
		{"A12 expired and forged", m.sign(t, rs, m.other, func(_ map[string]any, c jwt.MapClaims) { c["exp"] = now - 100 }), token.BadSignature},
		{"A13 dpop", header(func(h map[string]any) { h["typ"] = "dpop+jwt" }), token.TypeMismatch},
		{"A13 secevent", header(func(h map[string]any) { h["typ"] = "secevent+jwt" }), token.TypeMismatch},
		{"A13 id token", header(func(h map[string]any) { h["typ"] = "JWT" }), token.TypeMismatch},
		{"A13 no typ", header(func(h map[string]any) { delete(h, "typ") }), token.TypeMismatch},
		{"A14 two sub", assembled(plain, `{"sub":"admin",`+string(payload)[1:]), token.Malformed},
		{"A14 two alg", assembled(`{"alg":"none",`+plain[1:], string(payload)), token.Malformed},
		{"A14 two alg, good one first", assembled(plain[:len(plain)-1]+`,"alg":"none"}`, string(payload)), token.Malformed},
		{"A-no member of another organization", claim("org", nil), token.ClaimsInvalid},
		{"A-no garbage", "garbage", token.Malformed},
	}
	return all
}

// respell changes bits of the last character that carry nothing.
func respell(raw string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	i := strings.IndexByte(alphabet, raw[len(raw)-1])
	return raw[:len(raw)-1] + string(alphabet[i^1])
}

// TestForgedTokens sends every bad token of section A as a raw request.
func TestForgedTokens(t *testing.T) {
	var fetched atomic.Int64
	canary := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { fetched.Add(1) }))
	defer canary.Close()
	up := stdUpstream(t)
	w := newWorld(t, up.URL)
	var secrets []string
	for i, f := range forgeries(t, canary.URL) {
		t.Run(f.row, func(t *testing.T) {
			peer := fmt.Sprintf("127.2.0.%d", i+1)
			conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(peer)}}).Dial("tcp", w.addr)
			require.NoError(t, err)
			defer conn.Close()
			require.NoError(t, conn.SetDeadline(time.Now().Add(30*time.Second)))
			_, err = io.WriteString(conn, request("GET", "/notes", f.raw))
			require.NoError(t, err)
			r := read(t, bufio.NewReader(conn), "GET")
			require.Equal(t, 401, r.StatusCode)
			require.Equal(t, string(f.reason), r.reason())
			require.Contains(t, r.Header.Get("WWW-Authenticate"), `error="invalid_token"`)
			require.NotContains(t, r.body, f.raw)
			records := w.records.all()
			last := records[len(records)-1]
			require.Equal(t, peer, last.Peer)
			require.Equal(t, string(f.reason), last.Reason)
			require.Empty(t, last.AgentID, "nobody is named by a token that is not good")
			require.Empty(t, last.JTI)
		})
		if len(f.raw) > 20 && !strings.HasSuffix(f.raw, ".") {
			secrets = append(secrets, f.raw)
		}
	}
	require.Empty(t, up.all())
	require.Zero(t, fetched.Load(), "no key is ever fetched from where a token says")
	w.stop()
	w.keepsSecret(t, secrets...)
}

// A10: what does not fit the head is refused before anybody looks at it.
func TestOversizeTokens(t *testing.T) {
	up := stdUpstream(t)
	w := newWorld(t, up.URL)
	for _, raw := range []string{strings.Repeat(".", 100_000), strings.Repeat("A", 64<<10), b64(strings.Repeat("[", 9000)) + ".e30.AA" + strings.Repeat("A", 8<<10)} {
		w.refuses(w.get("/notes", raw), 431, "header_too_large")
	}
	w.refuses(w.get("/notes", strings.Repeat(".", 14<<10)), 401, "oversize")
	require.Empty(t, up.all())
}

func TestRevokedStaleAndForeign(t *testing.T) {
	up := stdUpstream(t)
	w := newWorld(t, up.URL)
	good := tokens(t).good(t, map[string]any{"jti": "jti-1"})
	require.Equal(t, 200, w.get("/notes", good).StatusCode)

	w.revoked.set(func(r *revocations) { r.jti["jti-1"] = true })
	r := w.get("/notes", good)
	w.refuses(r, 401, "token_revoked")
	require.Contains(t, r.Header.Get("WWW-Authenticate"), "invalid_token")
	record := w.records.all()[1]
	require.Equal(t, agentID, record.AgentID)
	require.Equal(t, "jti-1", record.JTI)
	w.refuses(w.get("/nowhere", good), 401, "token_revoked")

	w.revoked.set(func(r *revocations) { delete(r.jti, "jti-1"); r.stale = true })
	r = w.get("/notes", good)
	w.refuses(r, 503, "revocations_stale")
	require.Equal(t, "5", r.Header.Get("Retry-After"))
	require.Equal(t, 200, w.get("/lasting", good).StatusCode)
	require.Equal(t, 200, w.get("/open", "").StatusCode)
	w.revoked.set(func(r *revocations) { r.unknown = true })
	w.refuses(w.get("/lasting", good), 503, "revocations_stale") // there is no last good
	w.revoked.set(func(r *revocations) { r.unknown = false })
	w.revoked.set(func(r *revocations) { r.jti["jti-1"] = true })
	w.refuses(w.get("/lasting", good), 401, "token_revoked")
	w.revoked.set(func(r *revocations) { clear(r.jti); r.stale = false })

	r = w.get("/notes", tokens(t).good(t, map[string]any{"org": "org-2"}))
	w.refuses(r, 403, "organization_not_allowed")
	require.Equal(t, "org-2", w.records.all()[len(w.records.all())-1].OrganizationID)

	r = w.get("/secret", good)
	w.refuses(r, 403, "capability_missing")
	require.Equal(t, `Bearer realm="agentidp", error="insufficient_scope", scope="secret:read"`, r.Header.Get("WWW-Authenticate"))
	require.Equal(t, "no-store", r.Header.Get("Cache-Control"))
	require.Equal(t, "application/json", r.Header.Get("Content-Type"))
	require.Len(t, up.all(), 3)
}

func TestClaimsThatCannotStandInAHeader(t *testing.T) {
	up := stdUpstream(t)
	w := newWorld(t, up.URL)
	for _, sub := range []string{"agent one", "agent\u00e9", "agent\u2028x"} {
		w.refuses(w.get("/notes", tokens(t).good(t, map[string]any{"sub": sub})), 401, "claims_invalid")
	}
	require.Empty(t, up.all())
	require.Equal(t, 200, w.get("/notes", tokens(t).good(t, map[string]any{"scope": "notes:write notes:read"})).StatusCode)
	require.Equal(t, "notes:read notes:write", up.all()[0].Header.Get("X-Agent-Scope"))
}

func TestOptionsAreChecked(t *testing.T) {
	_, err := proxy.New(proxy.Options{Upstream: proxy.Upstream{URL: "ftp://x"}})
	for _, name := range []string{"Routes", "Verifier", "Revocations", "Decider", "Recorder", "Organizations", "upstream must be"} {
		require.ErrorContains(t, err, name)
	}
	for _, url := range []string{"http://", "http://u:p@h", "http://h/path", "http://h?q", "http://h#f", "h:80", "http://u:p@h h", "://"} {
		_, err := proxy.New(proxy.Options{Upstream: proxy.Upstream{URL: url}})
		require.ErrorIs(t, err, route.ErrUpstream, url)
		require.NotContains(t, err.Error(), "u:p@")
	}
	table, err := route.Load([]byte(routes))
	require.NoError(t, err)
	whole := proxy.Options{Routes: table, Verifier: verifier{}, Revocations: &revocations{}, Decider: &decider{}, Recorder: &recorder{}, Organizations: func(string) bool { return true }}
	_, err = proxy.New(whole)
	require.ErrorIs(t, err, route.ErrUpstream, "a route needs the default one")
}
