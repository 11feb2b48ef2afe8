package clientauth_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/clientauth"
)

// The public keys of RFC 7515 appendix A.3 and RFC 7638 section 3.1.
const (
	rfcEC  = `{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`
	rfcRSA = `{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB"}`
)

func TestCanonicalKeys(t *testing.T) {
	got, rules := clientauth.CanonicalKeys(json.RawMessage(` {"keys":[` + rfcRSA + `,` + rfcEC + `], "more": 1}`))
	require.Empty(t, rules)
	var set struct{ Keys []map[string]string }
	require.NoError(t, json.Unmarshal(got, &set))
	require.Equal(t, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs", set.Keys[0]["kid"], "the thumbprint of RFC 7638 section 3.1")
	require.Equal(t, "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U", set.Keys[1]["kid"], "the one of the EC key")
	again, rules := clientauth.CanonicalKeys(got)
	require.Empty(t, rules)
	require.Equal(t, string(got), string(again))
	keys, err := clientauth.ReadKeySet(got)
	require.NoError(t, err)
	require.Equal(t, 2, keys.Len())

	for _, none := range []string{"", "null"} {
		got, rules := clientauth.CanonicalKeys(json.RawMessage(none))
		require.Empty(t, rules)
		require.Nil(t, got)
	}
}

func TestKeysThatAreRefused(t *testing.T) {
	small := must(rsa.GenerateKey(rand.Reader, 1024))
	curve := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	good := jwkOf(ecKey().Public(), nil)
	with := func(member string, value any) map[string]any {
		return jwkOf(ecKey().Public(), map[string]any{member: value})
	}
	withRSA := func(member string, value any) map[string]any {
		return jwkOf(rsaKey().Public(), map[string]any{member: value})
	}
	n := rsaKey().N
	for name, key := range map[string]any{
		"symmetric": map[string]any{"kty": "oct", "k": "AAAA"}, "of another type": map[string]any{"kty": "OKP", "crv": "Ed25519", "x": "AAAA"},
		"without a type": map[string]any{}, "no object": "x", "null": nil,
		"private EC": with("d", "AAAA"), "private RSA": withRSA("d", "AAAA"), "with a factor": withRSA("p", "AAAA"), "with dp": withRSA("dp", "AAAA"), "with oth": withRSA("oth", []any{}),
		"weak": jwkOf(small.Public(), nil), "even modulus": withRSA("n", b64(new(big.Int).Add(n, big.NewInt(1)).Bytes())), "exponent 1": withRSA("e", "AQ"), "exponent 3": withRSA("e", "Aw"),
		"a huge exponent": withRSA("e", "AQABAQABAQAB"), "padded exponent": withRSA("e", "AAEAAQ"), "padded modulus": withRSA("n", "AA"+b64(n.Bytes())), "no modulus": withRSA("n", ""),
		"huge": withRSA("n", b64(new(big.Int).Lsh(n, 4096).Bytes())), "modulus in padded base64": withRSA("n", b64(n.Bytes())+"="),
		"another curve": with("crv", "P-384"), "of another curve": map[string]any{"kty": "EC", "crv": "P-256", "x": b64(must(curve.PublicKey.Bytes())[1:33]), "y": b64(must(curve.PublicKey.Bytes())[33:65])},
		"not on the curve": with("y", b64(make([]byte, 32))), "a short coordinate": with("x", b64(make([]byte, 31))), "no coordinate": with("x", nil),
		"for encryption": with("use", "enc"), "use is null": with("use", nil), "not for verifying": with("key_ops", []string{"sign"}), "operations that are none": with("key_ops", 1),
		"alg of another type": with("alg", "RS256"), "another alg": withRSA("alg", "RS512"), "alg none": withRSA("alg", "none"), "alg is no string": with("alg", 1),
		"an empty kid": with("kid", ""), "a kid that is a number": with("kid", 1), "a long kid": with("kid", strings.Repeat("k", 129)),
	} {
		t.Run(name, func(t *testing.T) {
			document := must(json.Marshal(map[string]any{"keys": []any{key, good}}))
			_, rules := clientauth.CanonicalKeys(document)
			require.Len(t, rules, 1)
			require.Equal(t, "jwks.keys[0]", rules[0].Field)
			require.NotEmpty(t, rules[0].Text)
			set, err := clientauth.ReadKeySet(document)
			require.NoError(t, err, "what was fetched is used as far as it is fit")
			require.Equal(t, 1, set.Len())
			set, err = clientauth.ReadKeySet(must(json.Marshal(map[string]any{"keys": []any{key}})))
			require.NoError(t, err)
			require.Zero(t, set.Len())
		})
	}
}

func TestDocumentsThatAreNoKeySet(t *testing.T) {
	for _, document := range []string{
		"", "null", "[]", "{}", `{"keys":null}`, `{"keys":{}}`, `{"Keys":[` + rfcEC + `]}`, `{"keys":[` + rfcEC + `]} x`,
		`{"keys":[` + rfcEC + `],"keys":[]}`, `{"keys":[` + strings.Replace(rfcEC, "{", `{"kty":"EC",`, 1) + `]}`, "{\"keys\":[" + rfcEC + "],\"\xff\":1}",
	} {
		_, err := clientauth.ReadKeySet([]byte(document))
		require.Error(t, err, document)
		if document != "" && document != "null" {
			_, rules := clientauth.CanonicalKeys(json.RawMessage(document))
			require.Equal(t, "jwks", rules[0].Field, document)
		}
	}
	_, rules := clientauth.CanonicalKeys(json.RawMessage(`{"keys":[` + rfcEC + `],"x":"` + strings.Repeat("x", 16<<10) + `"}`))
	require.Contains(t, rules[0].Text, "16384 bytes")
}

// An agent that publishes no key has none: its set replaces what it published before.
func TestEmptyKeySet(t *testing.T) {
	set, err := clientauth.ReadKeySet([]byte(`{"keys":[]}`))
	require.NoError(t, err)
	require.Zero(t, set.Len())
	_, rules := clientauth.CanonicalKeys(json.RawMessage(`{"keys":[]}`))
	require.Equal(t, "jwks", rules[0].Field, "what is set has a key")
}

func TestKeySetSize(t *testing.T) {
	one, err := clientauth.ReadKeySet(jwksOf(jwkOf(rsaKey().Public(), map[string]any{"kid": strings.Repeat("k", 128)})))
	require.NoError(t, err)
	require.Greater(t, one.Size(), 2048/8+128)
	require.Greater(t, one.Size(), (&clientauth.KeySet{}).Size())
}

// A key never takes over a name: not in what is set, nor in what is fetched.
func TestKeysWithOneName(t *testing.T) {
	first, second := jwkOf(ecKey().Public(), map[string]any{"kid": "k"}), jwkOf(rsaKey().Public(), map[string]any{"kid": "k"})
	_, rules := clientauth.CanonicalKeys(jwksOf(first, second))
	require.Equal(t, "jwks.keys[1]", rules[0].Field)
	set, err := clientauth.ReadKeySet(jwksOf(first, second))
	require.NoError(t, err)
	require.Equal(t, 1, set.Len())
	for _, unfit := range []map[string]any{{"kid": "k", "use": "enc"}, {"kid": "k", "d": "AAAA"}} {
		set, err = clientauth.ReadKeySet(jwksOf(jwkOf(ecKey().Public(), unfit), second))
		require.NoError(t, err)
		require.Zero(t, set.Len(), "not even when the first is unfit")
	}

	thumbprint := jwkOf(ecKey().Public(), nil)
	_, rules = clientauth.CanonicalKeys(jwksOf(thumbprint, thumbprint))
	require.Equal(t, "jwks.keys[1]", rules[0].Field)
}

func TestTooManyKeys(t *testing.T) {
	var keys []map[string]any
	for range clientauth.MaxKeys + 1 {
		keys = append(keys, jwkOf(must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)).Public(), nil))
	}
	_, rules := clientauth.CanonicalKeys(jwksOf(keys...))
	require.Equal(t, "jwks", rules[0].Field)
	_, rules = clientauth.CanonicalKeys(jwksOf(keys[1:]...))
	require.Empty(t, rules)
	set, err := clientauth.ReadKeySet(jwksOf(keys...))
	require.NoError(t, err)
	require.Equal(t, clientauth.MaxKeys, set.Len())
}
