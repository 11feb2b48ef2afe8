package verify_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the signed vectors of sdk/testdata anew")

const (
	testdata = "../../testdata"
	now      = 1793606400 // 2026-11-02T08:00:00Z
	issuer   = "https://idp.example.com"
	audience = "https://api.example.com"
	leeway   = 5
	subject  = "3f2b8c1e-6f0a-4d0e-9a53-0d8b8a7c1f11"
)

// The vectors are what the generator makes: all of it is deterministic.
func TestTheSignedVectorsAreCurrent(t *testing.T) {
	f := readForge(t)
	for name, made := range map[string]any{
		"jwks.json":           f.documents(),
		"tokens.json":         f.tokens(),
		"jwks-rotations.json": f.rotations(),
		"status-lists.json":   f.statusLists(),
	} {
		var written bytes.Buffer
		encoder := json.NewEncoder(&written)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		require.NoError(t, encoder.Encode(made))
		path := filepath.Join(testdata, name)
		if *update {
			require.NoError(t, os.WriteFile(path, written.Bytes(), 0o644))
		}
		kept, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, string(kept), written.String(), "%s is not what it is made of: go test ./sdk/go/verify -run Current -update", name)
	}
}

// forge signs what it is told to.
type forge struct {
	t    testing.TB
	keys map[string]crypto.Signer
}

func readForge(t testing.TB) *forge {
	t.Helper()
	t.Setenv("GODEBUG", "rsa1024min=0") // a key that is too small is one of the vectors
	content, err := os.ReadFile(filepath.Join(testdata, "keys.json"))
	require.NoError(t, err)
	var file struct{ PrivateKeys map[string]string }
	require.NoError(t, json.Unmarshal(content, &file))
	f := &forge{t: t, keys: map[string]crypto.Signer{}}
	for name, text := range file.PrivateKeys {
		block, _ := pem.Decode([]byte(text))
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		require.NoError(t, err)
		f.keys[name] = key.(crypto.Signer)
	}
	return f
}

func b64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

func (f *forge) rsa(name string) *rsa.PrivateKey { return f.keys[name].(*rsa.PrivateKey) }

func (f *forge) kid(name string) string {
	key := f.rsa(name)
	sum := sha256.Sum256([]byte(`{"e":"AQAB","kty":"RSA","n":"` + b64(key.N.Bytes()) + `"}`))
	return b64(sum[:])
}

// sign makes a JWT of the texts with the hash's RS algorithm.
func (f *forge) sign(key string, hash crypto.Hash, header, claims string) string {
	signed := b64([]byte(header)) + "." + b64([]byte(claims))
	h := hash.New()
	h.Write([]byte(signed))
	signature, err := f.rsa(key).Sign(nil, h.Sum(nil), hash)
	require.NoError(f.t, err)
	return signed + "." + b64(signature)
}

func (f *forge) hs256(secret []byte, header, claims string) string {
	signed := b64([]byte(header)) + "." + b64([]byte(claims))
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(signed))
	return signed + "." + b64(mac.Sum(nil))
}

// good is a token as the IdP makes it, issued at a time.
func (f *forge) good(key, jti string, at int64) string {
	return f.sign(key, crypto.SHA256, f.header(key), claims(jti, at))
}

func (f *forge) header(key string) string {
	return `{"alg":"RS256","typ":"at+jwt","kid":"` + f.kid(key) + `"}`
}

func claims(jti string, issued int64) string {
	return fmt.Sprintf(`{"iss":%q,"sub":%q,"aud":%q,"client_id":"aidp_c_0123456789abcdefghijkl","scope":"notes:read notes:write","iat":%d,"exp":%d,"jti":%q,"org":"default","rev":[0,0,0]}`,
		issuer, subject, audience, issued, issued+3600, jti)
}

// with replaces one member of a text, once; "" takes it out.
func with(text, member, value string) string {
	start := strings.Index(text, `"`+member+`":`)
	if start < 0 {
		return text[:len(text)-1] + `,"` + member + `":` + value + "}"
	}
	end := start + len(member) + 3
	for depth, quoted := 0, false; ; end++ {
		switch c := text[end]; {
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[', c == '{':
			depth++
		case depth > 0 && (c == ']' || c == '}'):
			depth--
		case depth == 0 && (c == ',' || c == '}'):
			if value != "" {
				return text[:start] + `"` + member + `":` + value + text[end:]
			}
			if c == ',' {
				return text[:start] + text[end+1:]
			}
			return strings.TrimSuffix(text[:start], ",") + text[end:]
		}
	}
}

// jwk is the public half of a key.
func (f *forge) jwk(name string) string {
	key := f.rsa(name)
	return fmt.Sprintf(`{"kty":"RSA","use":"sig","alg":"RS256","kid":%q,"n":%q,"e":%q}`, f.kid(name), b64(key.N.Bytes()), b64(big.NewInt(int64(key.E)).Bytes()))
}

func set(keys ...string) string { return `{"keys":[` + strings.Join(keys, ",") + `]}` }

type document struct {
	Name   string   `json:"name"`
	Body   string   `json:"body"`
	PadTo  int      `json:"padTo,omitempty"`
	Usable []string `json:"usable"` // null: the whole document is refused
}

type documents struct {
	Warning   string     `json:"warning"`
	Documents []document `json:"documents"`
}

const warning = "TEST DATA: the private halves of these keys are in keys.json"

func (f *forge) documents() documents {
	a, b, c := f.jwk("a"), f.jwk("b"), f.jwk("c")
	kidA, kidB, kidC := f.kid("a"), f.kid("b"), f.kid("c")
	private := f.rsa("b")
	ec := f.keys["client-ec"].(*ecdsa.PrivateKey)
	point, err := ec.PublicKey.Bytes()
	require.NoError(f.t, err)
	ecJWK := fmt.Sprintf(`{"kty":"EC","crv":"P-256","use":"sig","alg":"ES256","kid":"ec","x":%q,"y":%q}`, b64(point[1:33]), b64(point[33:]))
	none := []string(nil)
	return documents{warning, []document{
		{"a", set(a), 0, []string{kidA}},
		{"a and b", set(a, b), 0, []string{kidA, kidB}},
		{"b", set(b), 0, []string{kidB}},
		{"b and c", set(b, c), 0, []string{kidB, kidC}},
		{"without use and alg", set(with(with(a, "use", ""), "alg", "")), 0, []string{kidA}},
		{"for verifying, by key_ops", set(with(a, "key_ops", `["verify"]`)), 0, []string{kidA}},
		{"unknown members", `{"keys":[` + with(a, "x5t", `"abc"`) + `],"more":{"a":[1,2]}}`, 0, []string{kidA}},
		{"256 KiB", set(a), 256 << 10, []string{kidA}},

		{"a, beside one for encryption", set(a, with(b, "use", `"enc"`)), 0, []string{kidA}},
		{"a, beside one of another algorithm", set(a, with(b, "alg", `"RS384"`)), 0, []string{kidA}},
		{"a, beside one that may only sign", set(a, with(b, "key_ops", `["sign"]`)), 0, []string{kidA}},
		{"a, beside one without a kid", set(a, with(b, "kid", "")), 0, []string{kidA}},
		{"a, beside one whose kid is too long", set(a, with(b, "kid", `"`+strings.Repeat("k", 129)+`"`)), 0, []string{kidA}},
		{"a, beside one whose kid is a number", set(a, with(b, "kid", "5")), 0, []string{kidA}},
		{"a, beside an elliptic one", set(a, ecJWK), 0, []string{kidA}},
		{"a, beside a symmetric one", set(a, `{"kty":"oct","kid":"o","alg":"HS256","k":"c2VjcmV0"}`), 0, []string{kidA}},
		{"a, beside one of 1024 bits", set(a, f.jwk("small")), 0, []string{kidA}},
		{"a, beside one of 4160 bits", set(a, f.jwk("large")), 0, []string{kidA}},
		{"a, beside one of exponent 3", set(a, with(b, "e", `"Aw"`)), 0, []string{kidA}},
		{"a, beside one of exponent 1", set(a, with(b, "e", `"AQ"`)), 0, []string{kidA}},
		{"a, beside one with its private half", set(a, with(b, "d", `"`+b64(private.D.Bytes())+`"`)), 0, []string{kidA}},
		{"a, beside one without a modulus", set(a, with(b, "n", "")), 0, []string{kidA}},
		{"a, beside one with a padded modulus", set(a, with(b, "n", `"`+base64.URLEncoding.EncodeToString(private.N.Bytes())+`"`)), 0, []string{kidA}},
		{"a, beside what is no object", set(a, "5", "null", `"key"`), 0, []string{kidA}},
		{"of two with one kid the first counts", set(a, with(b, "kid", `"`+kidA+`"`)), 0, []string{kidA}},
		{"even when the first is not usable", set(a, with(b, "use", `"enc"`), b), 0, []string{kidA}},

		{"no keys", set(), 0, none},
		{"no usable key", set(with(a, "use", `"enc"`)), 0, none},
		{"no member keys", `{}`, 0, none},
		{"keys is an object", `{"keys":{}}`, 0, none},
		{"an array", `[` + a + `]`, 0, none},
		{"not JSON", `<html>`, 0, none},
		{"empty", ``, 0, none},
		{"cut off", set(a)[:200], 0, none},
		{"something behind it", set(a) + "x", 0, none},
		{"a member twice", `{"keys":[` + a + `],"keys":[` + b + `]}`, 0, none},
		{"a member of a key twice", set(a[:len(a)-1] + `,"kid":"x"}`), 0, none},
		{"larger than 256 KiB", set(a), 256<<10 + 1, none},
	}}
}
