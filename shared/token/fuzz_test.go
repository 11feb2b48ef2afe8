package token

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// referenceVerify is a second way to judge a token, written from the RFCs with
// the standard library alone and no thought of speed.
func referenceVerify(v vectors, key *rsa.PublicKey, raw string) error {
	parts := strings.Split(raw, ".")
	if len(raw) > 8192 || len(parts) != 3 {
		return errors.New("shape")
	}
	var decoded [3][]byte
	for i, part := range parts {
		data, err := base64.RawURLEncoding.Strict().DecodeString(part)
		if err != nil || base64.RawURLEncoding.EncodeToString(data) != part {
			return errors.New("base64")
		}
		decoded[i] = data
	}
	header, err := referenceObject(decoded[0])
	if err != nil {
		return err
	}
	for _, name := range []string{"crit", "b64", "jwk", "jku", "x5u", "x5c"} {
		if _, present := header[name]; present {
			return errors.New("critical")
		}
	}
	typ, _ := header["typ"].(string)
	if typ = strings.ToLower(typ); header["alg"] != "RS256" || header["kid"] != Thumbprint(key) || typ != "at+jwt" && typ != "application/at+jwt" {
		return errors.New("header")
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if err := rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], decoded[2]); err != nil {
		return err
	}
	claims, err := referenceObject(decoded[1])
	if err != nil {
		return err
	}
	return referenceClaims(v, claims)
}

func referenceClaims(v vectors, claims map[string]any) error {
	for _, name := range []string{"iss", "sub", "client_id", "jti", "org"} {
		if s, _ := claims[name].(string); s == "" {
			return errors.New(name)
		}
	}
	audience, isList := claims["aud"].([]any)
	if !isList {
		audience = []any{claims["aud"]}
	}
	for _, member := range audience {
		if _, isText := member.(string); !isText {
			return errors.New("aud")
		}
	}
	if claims["iss"] != v.Issuer || !slices.Contains(audience, any(v.Audience)) {
		return errors.New("iss or aud")
	}
	if _, isText := claims["scope"].(string); !isText && claims["scope"] != nil {
		return errors.New("scope")
	}
	var times [3]int64
	for i, name := range []string{"iat", "exp", "nbf"} {
		n, isNumber := claims[name].(json.Number)
		if _, present := claims[name]; !present && name == "nbf" {
			continue
		}
		seconds, err := n.Int64()
		if !isNumber || err != nil || seconds <= 0 {
			return errors.New(name)
		}
		times[i] = seconds
	}
	if iat, exp, nbf := times[0], times[1], times[2]; iat > v.Now+30 || nbf > v.Now+30 || exp <= v.Now-30 || exp-iat > 3600 || exp <= iat {
		return errors.New("time")
	}
	rev, _ := claims["rev"].([]any)
	for _, epoch := range rev {
		n, _ := epoch.(json.Number)
		if i, err := n.Int64(); err != nil || i < 0 {
			return errors.New("rev")
		}
	}
	if len(rev) != 3 {
		return errors.New("rev")
	}
	return nil
}

// referenceObject decodes one object and refuses a repeated member at any depth.
func referenceObject(data []byte) (map[string]any, error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := referenceUnique(decoder); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one value")
	}
	decoder = json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var object map[string]any
	if err := decoder.Decode(&object); err != nil || object == nil {
		return nil, errors.New("not an object")
	}
	return object, nil
}

func referenceUnique(decoder *json.Decoder) error {
	opening, err := decoder.Token()
	if err != nil {
		return err
	}
	delimiter, _ := opening.(json.Delim)
	if delimiter != '{' && delimiter != '[' {
		return nil
	}
	seen := map[any]bool{}
	for decoder.More() {
		if delimiter == '{' {
			name, err := decoder.Token()
			if err != nil || seen[name] {
				return errors.New("member twice")
			}
			seen[name] = true
		}
		if err := referenceUnique(decoder); err != nil {
			return err
		}
	}
	_, err = decoder.Token()
	return err
}

// neverMoreLenient holds the property that matters: what Verify accepts, the
// reference accepts too.
func neverMoreLenient(t *testing.T, v vectors, verifier *Verifier, raw string) {
	claims, err := verifier.Verify(context.Background(), raw)
	if err != nil {
		var refused *Error
		require.ErrorAs(t, err, &refused)
		require.NotEmpty(t, refused.Reason)
		return
	}
	require.NoError(t, referenceVerify(v, &testKeys()[0].PublicKey, raw))
	require.NoError(t, claims.Check())
}

// FuzzVerifySigned changes what is signed: everything behind the signature check.
func FuzzVerifySigned(f *testing.F) {
	v := loadVectors(f)
	kid := Thumbprint(&testKeys()[0].PublicKey)
	f.Add([]byte(v.Header), []byte(v.Claims))
	for _, vector := range v.Refused {
		header, claims := vector.Header, vector.Claims
		if header == "" {
			header = v.Header
		}
		if claims == "" {
			claims = v.Claims
		}
		f.Add([]byte(header), []byte(claims))
	}
	verifier := v.verifier()
	f.Fuzz(func(t *testing.T, header, claims []byte) {
		raw := seal(testKeys()[0], strings.ReplaceAll(string(header), "$KID", kid), string(claims))
		neverMoreLenient(t, v, verifier, raw)
	})
}

// FuzzVerify changes the token itself.
func FuzzVerify(f *testing.F) {
	v := loadVectors(f)
	good := seal(testKeys()[0], v.Header, v.Claims)
	for _, seed := range []string{good, good + "=", good + "\n", "..", "a.b.c", "", strings.Repeat(".", 9000), "eyJhbGciOiJub25lIn0.e30."} {
		f.Add(seed)
	}
	verifier := v.verifier()
	f.Fuzz(func(t *testing.T, raw string) {
		neverMoreLenient(t, v, verifier, raw)
		if payload, _, err := VerifyJWS(raw, Type, verifier.Keys, MaxLength); err == nil {
			require.Equal(t, strings.Split(raw, ".")[1], b64(payload))
		}
	})
}

func FuzzParseJWKS(f *testing.F) {
	f.Add(document(f, goodJWK()))
	f.Add(document(f, goodJWK(), goodJWK(), nil, 5))
	f.Add([]byte(`{"keys":[{"kty":"EC"},{"kty":"RSA","n":"AQAB","e":"AQAB","kid":"a"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		set, skipped, err := ParseJWKS(data)
		if err != nil {
			require.ErrorIs(t, err, ErrJWKS)
			return
		}
		require.True(t, json.Valid(data))
		for _, kid := range set.KIDs() {
			key, err := set.Key(kid)
			require.NoError(t, err)
			require.Empty(t, WeakKey(key.Public()))
		}
		for _, s := range skipped {
			require.NotEmpty(t, s.Reason)
		}
	})
}

func FuzzBase64(f *testing.F) {
	for _, seed := range []string{"", "AA", "AB", "AAA", "AAB", "AAAA", "A", "a=", "-_-_", "+/", "AA\nAA", "é"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		back, ok := decode(b64(data))
		require.True(t, ok)
		require.True(t, bytes.Equal(data, back))
		if read, ok := decode(string(data)); ok {
			require.Equal(t, string(data), b64(read))
		} else {
			strict, err := base64.RawURLEncoding.Strict().DecodeString(string(data))
			require.True(t, err != nil || b64(strict) != string(data), "refused a canonical spelling")
		}
	})
}

// FuzzReadObject: what the strict reader accepts, encoding/json reads the same.
func FuzzReadObject(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"a":1}`, `{"a":1,"a":2}`, `{"a":{"b":[1,-0.5e+3,true,null,"x\u00e9\ud83d\ude00\n"]}}`, ` { "a" : [ ] } `, `{"a":01}`,
		`{"\ud800":1}`, `{"a":"\u12"}`, `{"a":tru}`, `{"a"`, `{,}`, `{"a":1,}`, `{"a":1e999999}`, "{\"\xff\":1}", `{"a":--1}`, `{"a":1.}`, `{"a":1e}`, `[{}]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		members := map[string][]byte{}
		err := ReadObject(data, func(name, value []byte) { members[string(name)] = bytes.Clone(value) })
		if err != nil {
			require.ErrorIs(t, err, errJSON)
			return
		}
		_, err = referenceObject(data)
		require.NoError(t, err)
		var want map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(data, &want))
		require.Len(t, members, len(want))
		for name, value := range want {
			require.Equal(t, string(value), string(members[name]))
			sameValue(t, value)
		}
	})
}

// sameValue compares the typed readers with encoding/json.
func sameValue(t *testing.T, value []byte) {
	if s, ok := stringOf(value); ok {
		var want string
		require.NoError(t, json.Unmarshal(value, &want))
		require.Equal(t, want, s)
	}
	if n, ok := integerOf(value); ok {
		var want int64
		require.NoError(t, json.Unmarshal(value, &want))
		require.Equal(t, want, n)
	}
	if list, ok := stringsOf(value); ok {
		var want []string
		require.NoError(t, json.Unmarshal(value, &want))
		require.Equal(t, len(want), len(list))
		require.True(t, slices.Equal(want, list))
	}
}
