package token

import (
	"bytes"
	"context"
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var testKeys = sync.OnceValue(func() (keys [2]*rsa.PrivateKey) {
	for i := range keys {
		key, err := rsa.GenerateKey(rand.Reader, MinKeyBits)
		if err != nil {
			panic(err)
		}
		keys[i] = key
	}
	return keys
})

func b64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

func seal(key *rsa.PrivateKey, header, payload string) string {
	text := b64([]byte(header)) + "." + b64([]byte(payload))
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
	if err != nil {
		panic(err)
	}
	return text + "." + b64(signature)
}

// vectors are the negative vectors of our own, each one step from the good token.
type vectors struct {
	Now              int64
	Issuer, Audience string
	Header, Claims   string
	Refused          []struct {
		Comment, Header, Claims string
		Reason                  Reason
	}
}

func loadVectors(t testing.TB) vectors {
	raw, err := os.ReadFile("testdata/refused.json")
	require.NoError(t, err)
	var v vectors
	require.NoError(t, json.Unmarshal(raw, &v))
	v.Header = strings.ReplaceAll(v.Header, "$KID", Thumbprint(&testKeys()[0].PublicKey))
	return v
}

func (v vectors) verifier() *Verifier {
	return &Verifier{
		Issuer: v.Issuer, Audience: v.Audience, Keys: NewKeySet(&testKeys()[0].PublicKey), Leeway: 30 * time.Second,
		Now: func() time.Time { return time.Unix(v.Now, 0) },
	}
}

func reasonOf(t testing.TB, err error) Reason {
	t.Helper()
	var refused *Error
	require.ErrorAs(t, err, &refused)
	return refused.Reason
}

func TestVerifyGood(t *testing.T) {
	v := loadVectors(t)
	good := Claims{
		Issuer: v.Issuer, Subject: "agent-1", Audience: []string{v.Audience}, ClientID: "aidp_c_x",
		Scope: "notes:read notes:write", IssuedAt: 1699999990, ExpiresAt: 1700003590, JTI: "j1",
		Organization: "default", Rev: [3]int64{1, 2, 3}, KID: Thumbprint(&testKeys()[0].PublicKey),
	}
	accepted := func(header, claims string, change func(*Claims)) {
		t.Helper()
		got, err := v.verifier().Verify(context.Background(), seal(testKeys()[0], header, claims))
		require.NoError(t, err)
		want := good
		change(&want)
		require.Equal(t, want, got)
	}
	same := func(*Claims) {}
	accepted(v.Header, v.Claims, same)
	accepted(strings.Replace(v.Header, "at+jwt", "AT+JWT", 1), v.Claims, same)
	accepted(strings.Replace(v.Header, "at+jwt", "application/at+jwt", 1), v.Claims, same)
	accepted(strings.Replace(v.Header, "at+jwt", "Application/At+Jwt", 1), v.Claims, same)
	accepted(strings.Replace(v.Header, "{", ` {"x5t":"abc", "cty":"x" , `, 1), v.Claims, same)
	accepted(v.Header, strings.Replace(v.Claims, "{", `{"nbf":1700000030,"custom":{"a":[1,2.5e3,true,false,null,{}]},"e":[],`, 1),
		func(c *Claims) { c.NotBefore = 1700000030 })
	accepted(v.Header, strings.Replace(v.Claims, `"https://notes.test"`, `["https://a.test","https://notes.test"]`, 1),
		func(c *Claims) { c.Audience = []string{"https://a.test", v.Audience} })
	accepted(v.Header, strings.Replace(v.Claims, `"agent-1"`, `"\u0061gent\u002d1"`, 1), same)
	accepted(v.Header, strings.Replace(v.Claims, `,"scope":"notes:read notes:write"`, "", 1), func(c *Claims) { c.Scope = "" })
	accepted(v.Header, strings.Replace(v.Claims, `"iat":1699999990,"exp":1700003590`, `"iat":1699996400,"exp":1699999971`, 1),
		func(c *Claims) { c.IssuedAt, c.ExpiresAt = 1699996400, 1699999971 })
	accepted(v.Header, strings.Replace(v.Claims, `"iat":1699999990`, `"iat":1700000030`, 1), func(c *Claims) { c.IssuedAt = 1700000030 })
}

func TestVerifyRefusesOwnVectors(t *testing.T) {
	v := loadVectors(t)
	require.Greater(t, len(v.Refused), 180)
	verifier := v.verifier()
	for _, vector := range v.Refused {
		header, claims := v.Header, v.Claims
		if vector.Header != "" {
			header = strings.ReplaceAll(vector.Header, "$KID", Thumbprint(&testKeys()[0].PublicKey))
		}
		if vector.Claims != "" {
			claims = vector.Claims
		}
		_, err := verifier.Verify(context.Background(), seal(testKeys()[0], header, claims))
		require.Error(t, err, vector.Comment)
		require.Equal(t, vector.Reason, reasonOf(t, err), vector.Comment)
	}
	t.Logf("own vectors: %d, 0 wrong", len(v.Refused))
}

func TestVerifyRefusesKeyConfusion(t *testing.T) {
	v := loadVectors(t)
	public := &testKeys()[0].PublicKey
	der, err := x509.MarshalPKIXPublicKey(public)
	require.NoError(t, err)
	jwk, err := json.Marshal(PublicJWK(public))
	require.NoError(t, err)
	pemText := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	pkcs1 := pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(public)})
	for _, secret := range [][]byte{der, jwk, pemText, bytes.TrimSpace(pemText), pkcs1, public.N.Bytes(), {}} {
		text := b64([]byte(strings.Replace(v.Header, "RS256", "HS256", 1))) + "." + b64([]byte(v.Claims))
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(text))
		_, err := v.verifier().Verify(context.Background(), text+"."+b64(mac.Sum(nil)))
		require.Equal(t, BadAlgorithm, reasonOf(t, err))
	}

	_, err = v.verifier().Verify(context.Background(), seal(testKeys()[1], v.Header, v.Claims))
	require.Equal(t, BadSignature, reasonOf(t, err), "another key under our kid")
	expired := strings.Replace(v.Claims, `"exp":1700003590`, `"exp":1699999995`, 1)
	_, err = v.verifier().Verify(context.Background(), seal(testKeys()[1], v.Header, expired))
	require.Equal(t, BadSignature, reasonOf(t, err), "the signature is told before expiry")
	wrong := strings.Replace(expired, v.Issuer, "https://evil.test", 1)
	_, err = v.verifier().Verify(context.Background(), seal(testKeys()[1], v.Header, wrong))
	require.Equal(t, BadSignature, reasonOf(t, err))
	_, err = v.verifier().Verify(context.Background(), seal(testKeys()[0], v.Header, wrong))
	require.Equal(t, IssuerMismatch, reasonOf(t, err))
}

func TestVerifyRefusesOtherShapes(t *testing.T) {
	v := loadVectors(t)
	good := seal(testKeys()[0], v.Header, v.Claims)
	parts := strings.Split(good, ".")
	refused := func(reason Reason, raw, comment string) {
		t.Helper()
		_, err := v.verifier().Verify(context.Background(), raw)
		require.Equal(t, reason, reasonOf(t, err), comment)
	}
	refused(Malformed, "", "nothing")
	refused(Malformed, parts[0], "one part")
	refused(Malformed, parts[0]+"."+parts[1], "two parts")
	refused(Malformed, good+".", "four parts")
	refused(Malformed, good+".a.b", "five parts, as a JWE")
	refused(Malformed, parts[0]+"."+parts[1]+".", "no signature")
	refused(Malformed, "."+parts[1]+"."+parts[2], "no header")
	refused(Malformed, parts[0]+".."+parts[2], "no claims")
	refused(Oversize, strings.Repeat(".", 100_000), "dots")
	refused(Malformed, strings.Repeat(".", 8000), "fewer dots")
	refused(Oversize, good+strings.Repeat("A", 64<<10), "64 KiB")
	refused(Malformed, `{"payload":"`+parts[1]+`","signatures":[]}`, "JSON serialization")
	for _, noise := range []string{"=", "==", "\n", "\r\n", " ", "+", "/", "\x00", "é", "%3d"} {
		refused(Malformed, good+noise, "noise after the signature")
		refused(Malformed, parts[0]+noise+"."+parts[1]+"."+parts[2], "noise after the header")
		refused(Malformed, noise+good, "noise before")
	}

	deep := strings.Replace(v.Header, "{", `{"x":`+strings.Repeat("[", 900)+strings.Repeat("]", 900)+`,`, 1)
	refused(Malformed, seal(testKeys()[0], deep, v.Claims), "a deep header")
}

// One signature has one spelling: the other characters that a lenient decoder
// reads as the same bytes are refused.
func TestVerifyRefusesOtherSpellings(t *testing.T) {
	v := loadVectors(t)
	good := seal(testKeys()[0], v.Header, v.Claims)
	lenient := 0
	for i := range len(alphabet) {
		other := good[:len(good)-1] + alphabet[i:i+1]
		if other == good {
			continue
		}
		_, err := v.verifier().Verify(context.Background(), other)
		reason := reasonOf(t, err)
		require.Contains(t, []Reason{Malformed, BadSignature}, reason)
		a, _ := base64.RawURLEncoding.DecodeString(good[strings.LastIndexByte(good, '.')+1:])
		b, _ := base64.RawURLEncoding.DecodeString(other[strings.LastIndexByte(other, '.')+1:])
		if bytes.Equal(a, b) {
			lenient++
			require.Equal(t, Malformed, reason)
		}
	}
	require.Equal(t, 15, lenient)
}

func TestCanonical(t *testing.T) {
	for _, good := range []string{"", "AA", "AAA", "AAAA", "-_8", "Zg", "Zm8", "Zm9v"} {
		require.True(t, canonical(good), good)
	}
	for _, bad := range []string{"A", "AAAAA", "AB", "AAB", "Zh", "Zm9", "Zg==", "+A", "/A", "A A", "AA\n", "é", "\x00A"} {
		require.False(t, canonical(bad), bad)
	}
}

func TestVerifyForeign(t *testing.T) {
	v := loadVectors(t)
	foreign := `{"iss":"https://idp.test","sub":"auth0|1","aud":"https://notes.test","iat":1699999990,"exp":1700003590,"jti":"j1"}`
	_, err := v.verifier().Verify(context.Background(), seal(testKeys()[0], v.Header, foreign))
	require.Equal(t, ClaimsInvalid, reasonOf(t, err))

	verifier := v.verifier()
	verifier.AllowForeign = true
	got, err := verifier.Verify(context.Background(), seal(testKeys()[0], v.Header, foreign))
	require.NoError(t, err)
	require.Equal(t, "auth0|1", got.Subject)
	require.Empty(t, got.Organization+got.ClientID+got.Scope)

	for _, bad := range []string{
		strings.Replace(foreign, `"jti":"j1"`, `"jti":"j1","org":7`, 1),
		strings.Replace(foreign, `"jti":"j1"`, `"jti":"j1","rev":[1]`, 1),
		strings.Replace(foreign, `,"jti":"j1"`, "", 1),
		strings.Replace(foreign, `,"exp":1700003590`, "", 1),
	} {
		_, err := verifier.Verify(context.Background(), seal(testKeys()[0], v.Header, bad))
		require.Equal(t, ClaimsInvalid, reasonOf(t, err), bad)
	}
}

type brokenKeys struct{}

var errSource = errors.New("no key set yet")

func (brokenKeys) Key(string) (*Key, error) { return nil, errSource }

// What is not the token's fault is not reported as a refusal of the token.
func TestVerifyCannotDecide(t *testing.T) {
	v := loadVectors(t)
	good := seal(testKeys()[0], v.Header, v.Claims)
	undecided := func(ctx context.Context, verifier *Verifier) error {
		t.Helper()
		_, err := verifier.Verify(ctx, good)
		var refused *Error
		require.Error(t, err)
		require.False(t, errors.As(err, &refused))
		return err
	}
	broken := v.verifier()
	broken.Keys = brokenKeys{}
	require.ErrorIs(t, undecided(context.Background(), broken), errSource)

	ended, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, undecided(ended, v.verifier()), context.Canceled)

	for _, spoil := range []func(*Verifier){
		func(v *Verifier) { v.Issuer = "" }, func(v *Verifier) { v.Audience = "" }, func(v *Verifier) { v.Keys = nil },
		func(v *Verifier) { v.MaxLifetime = -1 }, func(v *Verifier) { v.Leeway = -1 },
	} {
		verifier := v.verifier()
		spoil(verifier)
		undecided(context.Background(), verifier)
	}
}

func TestKeyID(t *testing.T) {
	v := loadVectors(t)
	kid, err := KeyID(seal(testKeys()[1], strings.Replace(v.Header, `"kid":"`, `"kid":"new-`, 1), v.Claims))
	require.NoError(t, err)
	require.Equal(t, "new-"+Thumbprint(&testKeys()[0].PublicKey), kid)
	for _, bad := range []string{"", "a.b.c", seal(testKeys()[0], strings.Replace(v.Header, "RS256", "none", 1), v.Claims)} {
		_, err := KeyID(bad)
		reasonOf(t, err)
	}
}

func TestVerifyDefaults(t *testing.T) {
	v := loadVectors(t)
	verifier := v.verifier()
	verifier.Now, verifier.Leeway, verifier.MaxLifetime = nil, 0, 10*time.Hour
	_, err := verifier.Verify(context.Background(), seal(testKeys()[0], v.Header, v.Claims))
	require.Equal(t, Expired, reasonOf(t, err), "the real clock is past it")

	verifier = v.verifier()
	verifier.MaxLifetime = 10 * time.Hour
	long := strings.Replace(v.Claims, `"exp":1700003590`, `"exp":1700035990`, 1)
	_, err = verifier.Verify(context.Background(), seal(testKeys()[0], v.Header, long))
	require.NoError(t, err)
}

func TestErrorsKeepTheTokenToThemselves(t *testing.T) {
	v := loadVectors(t)
	for _, header := range []string{strings.Replace(v.Header, "RS256", "SECRETALG", 1), `{"SECRET`, strings.Replace(v.Header, `"kid":"`, `"kid":"SECRET`, 1)} {
		_, err := v.verifier().Verify(context.Background(), seal(testKeys()[0], header, v.Claims))
		require.Error(t, err)
		require.NotContains(t, err.Error(), "SECRET")
		require.Contains(t, err.Error(), string(reasonOf(t, err)))
	}
	_, err := v.verifier().Verify(context.Background(), seal(testKeys()[0], v.Header, `{"SECRET":`))
	require.NotContains(t, err.Error(), "SECRET")
	require.ErrorIs(t, err, errJSON)
}

func TestVerifyJWS(t *testing.T) {
	const typ = "agentidp-revocations+jwt"
	keys := NewKeySet(&testKeys()[0].PublicKey)
	kid := Thumbprint(&testKeys()[0].PublicKey)
	header := `{"alg":"RS256","kid":"` + kid + `","typ":"` + typ + `"}`
	big := strings.Repeat("x", 1<<20)
	payload, gotKid, err := VerifyJWS(seal(testKeys()[0], header, big), typ, keys, 2<<20)
	require.NoError(t, err)
	require.Equal(t, kid, gotKid)
	require.Equal(t, big, string(payload))

	refused := func(reason Reason, raw string, limit int) {
		t.Helper()
		_, _, err := VerifyJWS(raw, typ, keys, limit)
		require.Equal(t, reason, reasonOf(t, err))
	}
	refused(Oversize, seal(testKeys()[0], header, big), 1<<20)
	refused(BadSignature, seal(testKeys()[1], header, "x"), 4096)
	refused(UnknownKey, seal(testKeys()[0], strings.Replace(header, kid, "other", 1), "x"), 4096)
	refused(TypeMismatch, seal(testKeys()[0], strings.Replace(header, typ, Type, 1), "x"), 4096)
	refused(TypeMismatch, seal(testKeys()[0], strings.Replace(header, "revocations", "revocationſ", 1), "x"), 4096)
	refused(BadAlgorithm, seal(testKeys()[0], strings.Replace(header, "RS256", "none", 1), "x"), 4096)
	_, _, err = VerifyJWS(seal(testKeys()[0], header, "x"), "", keys, 4096)
	require.Error(t, err)
	_, _, err = VerifyJWS(seal(testKeys()[0], header, "x"), typ, brokenKeys{}, 4096)
	require.ErrorIs(t, err, errSource)
}

func TestClaimsCheck(t *testing.T) {
	good := Claims{
		Issuer: "i", Subject: "s", Audience: []string{"a"}, ClientID: "c", IssuedAt: 1, ExpiresAt: 2, JTI: "j", Organization: "o",
	}
	require.NoError(t, good.Check())
	for _, spoil := range []func(*Claims){
		func(c *Claims) { c.Issuer = "" }, func(c *Claims) { c.Subject = "\x7f" }, func(c *Claims) { c.Audience = nil },
		func(c *Claims) { c.Audience = []string{"a", ""} }, func(c *Claims) { c.ClientID = "" }, func(c *Claims) { c.Organization = "" },
		func(c *Claims) { c.Scope = " " }, func(c *Claims) { c.IssuedAt = 0 }, func(c *Claims) { c.ExpiresAt = maxTime + 1 },
		func(c *Claims) { c.NotBefore = -1 }, func(c *Claims) { c.JTI = strings.Repeat("j", 257) }, func(c *Claims) { c.Rev[2] = -1 },
	} {
		c := good
		c.Audience = slices.Clone(good.Audience)
		spoil(&c)
		require.Equal(t, ClaimsInvalid, reasonOf(t, c.Check()))
	}
}
