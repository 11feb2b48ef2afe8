package clientauth_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/clientauth"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/apierr"
)

const testIssuer = "https://idp.example.com"

// Keys are made once: an RSA key takes longer than a test.
var (
	rsaKey = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	ecKey  = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
)

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// jwkOf describes a public key, with more members or others.
func jwkOf(public crypto.PublicKey, more map[string]any) map[string]any {
	var members map[string]any
	switch key := public.(type) {
	case *rsa.PublicKey:
		members = map[string]any{"kty": "RSA", "n": b64(key.N.Bytes()), "e": b64(big.NewInt(int64(key.E)).Bytes())}
	case *ecdsa.PublicKey:
		point := must(key.Bytes())
		members = map[string]any{"kty": "EC", "crv": "P-256", "x": b64(point[1:33]), "y": b64(point[33:])}
	}
	maps.Copy(members, more)
	return members
}

func jwksOf(keys ...map[string]any) json.RawMessage {
	return must(json.Marshal(map[string]any{"keys": keys}))
}

// keyedWorld is a world whose client has no secret but these keys.
type keyedWorld struct{ *world }

func newKeyedWorld(t testing.TB, change func(*clientauth.Options)) keyedWorld {
	w := keyedWorld{newWorld(t, func(o *clientauth.Options) {
		o.Issuer = testIssuer
		if change != nil {
			change(o)
		}
	})}
	w.credential.ID, w.credential.ClientID = uuid.NewString(), clientauth.NewClientID()
	w.credential.Method, w.credential.Secret = idp.MethodPrivateKey, idp.SecretHash{}
	w.update(func(ctx context.Context, tx *store.Tx) error { return tx.Credentials.Insert(ctx, w.credential) })
	w.setKeys(jwksOf(jwkOf(rsaKey().Public(), map[string]any{"kid": "rsa"}), jwkOf(ecKey().Public(), map[string]any{"kid": "ec"})), "")
	return w
}

func (w keyedWorld) setKeys(jwks json.RawMessage, uri string) {
	w.t.Helper()
	w.update(func(ctx context.Context, tx *store.Tx) error {
		a, err := tx.Agents.Get(ctx, w.agent.OrganizationID, w.agent.ID)
		if err != nil {
			return err
		}
		a.JWKS, a.JWKSURI = jwks, uri
		return tx.Agents.Update(ctx, a)
	})
}

// draft is an assertion before it is signed: a good one, until changed.
type draft struct {
	header, claims map[string]any
	method         jwt.SigningMethod
	key            crypto.PrivateKey
}

func (w keyedWorld) draft() draft {
	now := w.now().Unix()
	return draft{
		header: map[string]any{"kid": "ec"}, method: jwt.SigningMethodES256, key: ecKey(),
		claims: map[string]any{
			"iss": w.credential.ClientID, "sub": w.credential.ClientID, "aud": testIssuer, "jti": uuid.NewString(), "iat": now, "exp": now + 60,
		},
	}
}

// sign is done by another implementation.
func (d draft) sign() string {
	t := jwt.NewWithClaims(d.method, jwt.MapClaims(d.claims))
	maps.Copy(t.Header, d.header)
	for name, value := range t.Header {
		if value == nil {
			delete(t.Header, name)
		}
	}
	return must(t.SignedString(d.key))
}

func (w keyedWorld) present(raw string) (store.Gate, error) {
	assertion, err := clientauth.ParseAssertion(raw)
	if err != nil {
		return store.Gate{}, err
	}
	return w.auth.Authenticate(context.Background(), clientauth.Attempt{Assertion: assertion})
}

// in makes a subtest the one that fails.
func (w keyedWorld) in(t *testing.T) {
	outer := w.t
	w.t = t
	t.Cleanup(func() { w.t = outer })
}

func (w keyedWorld) accepts(raw string) {
	w.t.Helper()
	gate, err := w.present(raw)
	require.NoError(w.t, err)
	require.Equal(w.t, w.agent.ID, gate.Agent.ID)
	require.Equal(w.t, w.credential.ID, gate.Credential.ID)
}

func (w keyedWorld) refuses(reason, raw string) store.Gate {
	w.t.Helper()
	gate, err := w.present(raw)
	sameRefusal(w.t, reason, err)
	return gate
}

func TestAssertionsThatProve(t *testing.T) {
	w := newKeyedWorld(t, nil)
	for name, change := range map[string]func(d *draft){
		"ES256":                    func(*draft) {},
		"RS256":                    func(d *draft) { d.method, d.key, d.header["kid"] = jwt.SigningMethodRS256, rsaKey(), "rsa" },
		"PS256":                    func(d *draft) { d.method, d.key, d.header["kid"] = ps256(rsa.PSSSaltLengthEqualsHash), rsaKey(), "rsa" },
		"the only key of its type": func(d *draft) { delete(d.header, "kid") },
		"no typ":                   func(d *draft) { d.header["typ"] = nil },
		"the typ of RFC 7523bis":   func(d *draft) { d.header["typ"] = "client-authentication+jwt" },
		"typ in full":              func(d *draft) { d.header["typ"] = "Application/Client-Authentication+JWT" },
		"a list of one audience":   func(d *draft) { d.claims["aud"] = []string{testIssuer} },
		"no iat":                   func(d *draft) { delete(d.claims, "iat") },
		"fractions of seconds": func(d *draft) {
			d.claims["iat"] = float64(w.now().Unix()) + 0.25
			d.claims["exp"] = float64(w.now().Unix()) + 30.5
		},
		"claims nobody knows":          func(d *draft) { d.claims["nonce"], d.claims["client_id"] = "x", map[string]any{"a": []any{1, nil}} },
		"iat and nbf 8 s ahead (FAPI)": func(d *draft) { d.claims["iat"], d.claims["nbf"] = w.now().Unix()+8, w.now().Unix()+8 },
		"iat and nbf 60 s ahead":       func(d *draft) { d.claims["iat"], d.claims["nbf"] = w.now().Unix()+60, w.now().Unix()+60 },
		"exp 59 s ago":                 func(d *draft) { d.claims["exp"] = w.now().Unix() - 59 },
		"exp 360 s ahead":              func(d *draft) { d.claims["exp"] = w.now().Unix() + 360 },
		"iat ten minutes ago":          func(d *draft) { d.claims["iat"] = w.now().Unix() - 600 },
		"a jti of 128 bytes":           func(d *draft) { d.claims["jti"] = strings.Repeat("é", 64) },
		"keys in the header, all ignored": func(d *draft) {
			d.header["jku"], d.header["x5u"], d.header["x5c"] = "https://evil.example/keys", "https://evil.example/x", []string{"AAAA"}
			d.header["jwk"] = jwkOf(must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)).Public(), nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w.in(t)
			d := w.draft()
			change(&d)
			w.accepts(d.sign())
		})
	}
	require.Equal(t, []string{"RS256", "PS256", "ES256"}, w.auth.Algorithms())
	var text strings.Builder
	w.set.WritePrometheus(&text)
	require.Regexp(t, `agentidp_client_assertions_total\{result="proven"\} [1-9]`, text.String())
}

func ps256(salt int) *jwt.SigningMethodRSAPSS {
	method := *jwt.SigningMethodPS256
	method.Options = &rsa.PSSOptions{SaltLength: salt}
	return &method
}

func TestAssertionsThatDoNot(t *testing.T) {
	w := newKeyedWorld(t, nil)
	stranger := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	for _, fact := range []struct {
		name, reason string
		change       func(d *draft)
	}{
		{"another key", clientauth.ReasonAssertionSignature, func(d *draft) { d.key = stranger }},
		{"the key that came along", clientauth.ReasonAssertionSignature, func(d *draft) { d.key = stranger; d.header["jwk"] = jwkOf(stranger.Public(), nil) }},
		{"a salt of another length (RFC 7518 section 3.5)", clientauth.ReasonAssertionSignature, func(d *draft) { d.method, d.key, d.header["kid"] = ps256(20), rsaKey(), "rsa" }},
		{"no such kid", clientauth.ReasonAssertionKeyUnknown, func(d *draft) { d.header["kid"] = "none" }},
		{"the kid of a key of another type", clientauth.ReasonAssertionKeyUnknown, func(d *draft) { d.header["kid"] = "rsa" }},
		{"none, which has no signature", clientauth.ReasonAssertionMalformed, func(d *draft) {
			d.method, d.key = jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType
			d.header["x"] = 1
		}},
		{"HMAC with the public key", clientauth.ReasonAssertionAlgorithm, func(d *draft) {
			d.method, d.key = jwt.SigningMethodHS256, []byte(jwksOf(jwkOf(rsaKey().Public(), nil)))
		}},
		{"RS512", clientauth.ReasonAssertionAlgorithm, func(d *draft) { d.method, d.key = jwt.SigningMethodRS512, rsaKey() }},
		{"alg in another case", clientauth.ReasonAssertionAlgorithm, func(d *draft) { d.header["alg"] = "es256" }},
		{"alg of another key's", clientauth.ReasonAssertionSignature, func(d *draft) { d.header["alg"] = "RS256" }},
		{"crit", clientauth.ReasonAssertionMalformed, func(d *draft) { d.header["crit"] = []string{"exp"} }},
		{"b64", clientauth.ReasonAssertionMalformed, func(d *draft) { d.header["b64"] = true }},
		{"zip", clientauth.ReasonAssertionMalformed, func(d *draft) { d.header["zip"] = "DEF" }},
		{"more than 8 KiB", clientauth.ReasonAssertionMalformed, func(d *draft) { d.claims["x"] = strings.Repeat("x", 6<<10) }},
		{"an access token", clientauth.ReasonAssertionMalformed, func(d *draft) { d.header["typ"] = "at+jwt" }},
		{"typ is not a string", clientauth.ReasonAssertionMalformed, func(d *draft) { d.header["typ"] = 1 }},
		{"an empty kid", clientauth.ReasonAssertionMalformed, func(d *draft) { d.header["kid"] = "" }},
		{"a long kid", clientauth.ReasonAssertionMalformed, func(d *draft) { d.header["kid"] = strings.Repeat("k", 129) }},
		{"a kid that is a path", clientauth.ReasonAssertionKeyUnknown, func(d *draft) { d.header["kid"] = "../../dev/null" }},
		{"a long header", clientauth.ReasonAssertionMalformed, func(d *draft) { d.header["x"] = strings.Repeat("x", 2048) }},
		{"sub is another", clientauth.ReasonAssertionSubject, func(d *draft) { d.claims["sub"] = clientauth.NewClientID() }},
		{"iss is another", clientauth.ReasonAssertionSubject, func(d *draft) { d.claims["iss"] = testIssuer }},
		{"iss and sub are empty", clientauth.ReasonAssertionSubject, func(d *draft) { d.claims["iss"], d.claims["sub"] = "", "" }},
		{"iss and sub are long", clientauth.ReasonAssertionSubject, func(d *draft) { long := strings.Repeat("x", 129); d.claims["iss"], d.claims["sub"] = long, long }},
		{"no iss", clientauth.ReasonAssertionMalformed, func(d *draft) { delete(d.claims, "iss") }},
		{"no sub", clientauth.ReasonAssertionMalformed, func(d *draft) { delete(d.claims, "sub") }},
		{"no aud", clientauth.ReasonAssertionMalformed, func(d *draft) { delete(d.claims, "aud") }},
		{"no jti", clientauth.ReasonAssertionMalformed, func(d *draft) { delete(d.claims, "jti") }},
		{"no exp", clientauth.ReasonAssertionMalformed, func(d *draft) { delete(d.claims, "exp") }},
		{"an empty jti", clientauth.ReasonAssertionMalformed, func(d *draft) { d.claims["jti"] = "" }},
		{"a long jti", clientauth.ReasonAssertionMalformed, func(d *draft) { d.claims["jti"] = strings.Repeat("j", 129) }},
		{"a jti that no database keeps", clientauth.ReasonAssertionMalformed, func(d *draft) { d.claims["jti"] = "a\x00b" }},
		{"exp is a string", clientauth.ReasonAssertionMalformed, func(d *draft) { d.claims["exp"] = "1700000060" }},
		{"exp is null", clientauth.ReasonAssertionMalformed, func(d *draft) { d.claims["exp"] = nil }},
		{"exp is no time", clientauth.ReasonAssertionMalformed, func(d *draft) { d.claims["exp"] = 1e300 }},
		{"iat is null", clientauth.ReasonAssertionMalformed, func(d *draft) { d.claims["iat"] = nil }},
		{"nbf is negative", clientauth.ReasonAssertionMalformed, func(d *draft) { d.claims["nbf"] = -1 }},
		{"the token endpoint as audience", clientauth.ReasonAssertionAudience, func(d *draft) { d.claims["aud"] = testIssuer + "/api/v1/token" }},
		{"the issuer with a slash", clientauth.ReasonAssertionAudience, func(d *draft) { d.claims["aud"] = testIssuer + "/" }},
		{"another audience beside ours", clientauth.ReasonAssertionAudience, func(d *draft) { d.claims["aud"] = []string{testIssuer, "https://other.example"} }},
		{"the audience twice", clientauth.ReasonAssertionAudience, func(d *draft) { d.claims["aud"] = []string{testIssuer, testIssuer} }},
		{"an empty list of audiences", clientauth.ReasonAssertionAudience, func(d *draft) { d.claims["aud"] = []string{} }},
		{"a null among audiences", clientauth.ReasonAssertionMalformed, func(d *draft) { d.claims["aud"] = []any{nil} }},
		{"exp 60 s ago", clientauth.ReasonAssertionExpired, func(d *draft) { d.claims["exp"] = w.now().Unix() - 60 }},
		{"exp 361 s ahead", clientauth.ReasonAssertionLifetime, func(d *draft) { d.claims["exp"] = w.now().Unix() + 361 }},
		{"iat 61 s ahead", clientauth.ReasonAssertionNotYetValid, func(d *draft) { d.claims["iat"] = w.now().Unix() + 61 }},
		{"nbf 61 s ahead", clientauth.ReasonAssertionNotYetValid, func(d *draft) { d.claims["nbf"] = w.now().Unix() + 61 }},
		{"iat long ago", clientauth.ReasonAssertionExpired, func(d *draft) { d.claims["iat"] = w.now().Unix() - 601 }},
	} {
		t.Run(fact.name, func(t *testing.T) {
			w.in(t)
			d := w.draft()
			fact.change(&d)
			w.refuses(fact.reason, d.sign())
		})
	}
	w.accepts(w.draft().sign())
}

// Every spelling but the one that was signed is refused.
func TestAssertionHasOneSpelling(t *testing.T) {
	w := newKeyedWorld(t, nil)
	good := w.draft().sign()
	parts := strings.Split(good, ".")
	header, claims := string(must(base64.RawURLEncoding.DecodeString(parts[0]))), string(must(base64.RawURLEncoding.DecodeString(parts[1])))
	with := func(header, claims string) string {
		return b64([]byte(header)) + "." + b64([]byte(claims)) + "." + parts[2]
	}
	twice := func(object, member string) string { return strings.Replace(object, "{", "{"+member+",", 1) }
	for name, raw := range map[string]string{
		"empty": "", "dots": "..", "two segments": parts[0] + "." + parts[1], "four segments": good + ".", "five": good + "..",
		"no signature": parts[0] + "." + parts[1] + ".", "no header": "." + parts[1] + "." + parts[2], "no claims": parts[0] + ".." + parts[2],
		"padding": good + "=", "a space before": " " + good, "a line break": parts[0] + "." + parts[1] + "." + parts[2][:40] + "\n" + parts[2][40:], "a line feed": good + "\r", "the standard alphabet": parts[0] + "." + parts[1] + "." + strings.Repeat("+", 86),
		"unused bits":                   parts[0] + "." + parts[1] + "." + parts[2][:85] + string(alphabetAfter(parts[2][85])),
		"a signature of another length": parts[0] + "." + parts[1] + "." + parts[2][:84],
		"too long":                      good + strings.Repeat("A", 8<<10), "many dots": strings.Repeat(".", 8<<10),
		"alg twice": with(twice(header, `"alg":"none"`), claims), "iss twice": with(header, twice(claims, `"iss":"x"`)), "iss twice by an escape": with(header, twice(claims, `"is\u0073":"x"`)),
		"a member twice further in": with(header, twice(claims, `"x":{"y":[{"a":1,"a":2}]}`)),
		"claims in an array":        with(header, "["+claims+"]"), "null": with(header, "null"), "more after": with(header, claims+"{}"), "not JSON": with(header, claims[1:]),
		"not UTF-8": with(header, strings.Replace(claims, `"jti":"`, "\"jti\":\"\xff", 1)), "deep": with(header, twice(claims, `"x":`+strings.Repeat("[", 20)+strings.Repeat("]", 20))),
		"other claims": with(header, strings.Replace(claims, `"jti":"`, `"jti":"x`, 1)),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.present(raw)
			require.True(t, apierr.Is(err, apierr.InvalidClient), "%v", err)
		})
	}
	for at := range len(good) {
		changed := []byte(good)
		changed[at] = alphabetAfter(changed[at])
		_, err := w.present(string(changed))
		require.True(t, apierr.Is(err, apierr.InvalidClient), "character %d: %v", at, err)
	}
	w.accepts(good)
}

func alphabetAfter(c byte) byte {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return alphabet[(strings.IndexByte(alphabet, c)+1)%len(alphabet)]
}

func TestAssertionOfClientsInEveryState(t *testing.T) {
	w := newKeyedWorld(t, nil)
	sign := func() string { return w.draft().sign() }
	w.accepts(sign())

	unknown := w.draft()
	unknown.claims["iss"], unknown.claims["sub"] = "aidp_c_none", "aidp_c_none"
	require.Empty(t, w.refuses(clientauth.ReasonClientUnknown, unknown.sign()))

	gate, err := w.try(w.credential.ClientID, right)
	sameRefusal(t, clientauth.ReasonSecretWrong, err)
	require.Equal(t, w.agent.ID, gate.Agent.ID, "a secret is none of this client's methods")
	w.refusedSecrets()

	w.setStatus(idp.Suspended)
	w.accepts(sign())
	w.setStatus(idp.Decommissioned)
	require.Equal(t, w.agent.ID, w.refuses(clientauth.ReasonAgentDecommissioned, sign()).Agent.ID)
	w.setStatus(idp.Active)
	w.changeCredential(func(c *idp.Credential) { c.ExpiresAt = w.now().Add(time.Second) })
	w.accepts(sign())
	w.forward(time.Second)
	w.refuses(clientauth.ReasonCredentialExpired, sign())
	w.changeCredential(func(c *idp.Credential) { c.ExpiresAt = time.Time{}; c.Revoke(w.now()) })
	w.refuses(clientauth.ReasonCredentialRevoked, sign())
}

// refusedSecrets demands that no secret whatever opens a client that has none.
func (w keyedWorld) refusedSecrets() {
	w.t.Helper()
	for _, secret := range []string{"", "x", "none", "of no secret"} {
		_, err := w.try(w.credential.ClientID, secret)
		sameRefusal(w.t, clientauth.ReasonSecretWrong, err)
	}
}

func TestAssertionForAClientWithASecret(t *testing.T) {
	w := newKeyedWorld(t, nil)
	w.changeMethod(idp.MethodSecret)
	gate := w.refuses(clientauth.ReasonMethodMismatch, w.draft().sign())
	require.Equal(t, w.agent.ID, gate.Agent.ID)
}

// changeMethod puts another credential of the agent in the place of the world's.
func (w keyedWorld) changeMethod(method idp.AuthMethod) {
	w.t.Helper()
	w.credential.ID, w.credential.ClientID, w.credential.Method = uuid.NewString(), clientauth.NewClientID(), method
	w.credential.Secret = idp.SecretHash{Scheme: "counting", Encoded: digest(right)}
	w.update(func(ctx context.Context, tx *store.Tx) error { return tx.Credentials.Insert(ctx, w.credential) })
}

// FuzzParseAssertion: what is accepted is what another implementation reads in
// it, and has one spelling.
func FuzzParseAssertion(f *testing.F) {
	w := keyedWorld{&world{credential: idp.Credential{ClientID: "aidp_c_1"}, at: time.Unix(1_700_000_000, 0)}}
	good := w.draft()
	f.Add(good.sign())
	good.method, good.key = jwt.SigningMethodRS256, rsaKey()
	good.claims["aud"], good.claims["exp"] = []string{"a", "b"}, 1700000000.75
	f.Add(good.sign())
	f.Add("..")
	f.Add(b64([]byte(`{"alg":"ES256"}`)) + "." + b64([]byte(`{"iss":"a","sub":"a","aud":"b","jti":"c","exp":1,"exp":2}`)) + "." + b64(make([]byte, 64)))
	f.Fuzz(func(t *testing.T, raw string) {
		a, err := clientauth.ParseAssertion(raw)
		if err != nil {
			require.True(t, apierr.Is(err, apierr.InvalidClient))
			return
		}
		for _, segment := range strings.Split(raw, ".") {
			require.Equal(t, segment, b64(must(base64.RawURLEncoding.Strict().DecodeString(segment))))
		}
		claims := jwt.MapClaims{}
		token, _, err := jwt.NewParser(jwt.WithStrictDecoding()).ParseUnverified(raw, claims)
		require.NoError(t, err)
		require.Contains(t, []string{"RS256", "PS256", "ES256"}, token.Method.Alg())
		require.Equal(t, []any{a.ClientID, a.ClientID, a.ID}, []any{claims["iss"], claims["sub"], claims["jti"]})
		expires, err := claims.GetExpirationTime()
		require.NoError(t, err)
		require.Equal(t, a.Expires.Unix(), expires.Unix(), fmt.Sprint(claims["exp"]))
	})
}
