package token

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func goodJWK() map[string]any {
	jwk := PublicJWK(&testKeys()[0].PublicKey)
	return map[string]any{"kty": jwk.KeyType, "use": jwk.Use, "alg": jwk.Algorithm, "kid": jwk.KeyID, "n": jwk.Modulus, "e": jwk.Exponent}
}

func document(t testing.TB, keys ...any) []byte {
	raw, err := json.Marshal(map[string]any{"keys": keys})
	require.NoError(t, err)
	return raw
}

func TestParseJWKSSkips(t *testing.T) {
	modulus := func(bits int) string {
		n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
		return b64(n.SetBit(n, 0, 1).Bytes())
	}
	roca := func() string { // congruent 1, hence 65537^0, modulo every prime of the fingerprint
		n := big.NewInt(2)
		for _, p := range rocaPrimes {
			n.Mul(n, new(big.Int).SetUint64(p))
		}
		n.Mul(n, new(big.Int).Lsh(big.NewInt(1), uint(2100-n.BitLen())))
		return b64(n.Add(n, big.NewInt(1)).Bytes())
	}
	even := func() string {
		n := new(big.Int).SetBit(testKeys()[0].N, 0, 0)
		return b64(n.Bytes())
	}
	skips := func(reason string, change map[string]any) {
		t.Helper()
		bad := goodJWK()
		bad["kid"] = "bad"
		for name, value := range change {
			if value == nil {
				delete(bad, name)
			} else {
				bad[name] = value
			}
		}
		set, skipped, err := ParseJWKS(document(t, goodJWK(), bad))
		require.NoError(t, err)
		require.Len(t, skipped, 1, reason)
		require.Equal(t, reason, skipped[0].Reason)
		require.Equal(t, 1, skipped[0].Index)
		require.Equal(t, []string{Thumbprint(&testKeys()[0].PublicKey)}, set.KIDs())
	}
	skips("key_size", map[string]any{"n": modulus(512)})
	skips("key_size", map[string]any{"n": modulus(1024)})
	skips("key_size", map[string]any{"n": modulus(2047)})
	skips("key_size", map[string]any{"n": modulus(4097)})
	skips("key_size", map[string]any{"n": modulus(65536)})
	skips("roca", map[string]any{"n": roca()})
	skips("modulus", map[string]any{"n": even()})
	skips("exponent", map[string]any{"e": "AQ"})
	skips("exponent", map[string]any{"e": "Aw"})
	skips("exponent", map[string]any{"e": "AAEAAQ"})
	skips("exponent", map[string]any{"e": "AQAB="})
	skips("exponent", map[string]any{"e": nil})
	skips("encoding", map[string]any{"n": b64(append([]byte{0}, testKeys()[0].N.Bytes()...))})
	skips("encoding", map[string]any{"n": goodJWK()["n"].(string) + "="})
	skips("encoding", map[string]any{"n": nil})
	skips("use", map[string]any{"use": "enc"})
	skips("algorithm", map[string]any{"alg": "RS512"})
	skips("algorithm", map[string]any{"alg": "RSA-OAEP"})
	skips("key_ops", map[string]any{"key_ops": []string{"encrypt"}})
	skips("key_ops", map[string]any{"key_ops": []string{}})
	skips("member_type", map[string]any{"key_ops": "verify"})
	skips("member_type", map[string]any{"use": 5})
	skips("member_type", map[string]any{"use": ""})
	skips("member_type", map[string]any{"alg": ""})
	skips("member_type", map[string]any{"n": []int{1}})
	skips("member_type", map[string]any{"kid": 7})
	skips("kid", map[string]any{"kid": nil})
	skips("kid", map[string]any{"kid": strings.Repeat("k", 129)})
	skips("key_type", map[string]any{"kty": "EC"})
	skips("key_type", map[string]any{"kty": "OKP"})
	skips("key_type", map[string]any{"kty": nil})
	skips("private_key", map[string]any{"kty": "oct", "k": "AAAA"})
	for _, member := range []string{"d", "p", "q", "dp", "dq", "qi", "oth"} {
		skips("private_key", map[string]any{member: "AQAB"})
	}

	for _, notAKey := range []any{nil, 5, "key", []any{}} {
		set, skipped, err := ParseJWKS(document(t, notAKey, goodJWK()))
		require.NoError(t, err)
		require.Equal(t, []Skipped{{Index: 0, Reason: "not_an_object"}}, skipped)
		require.Len(t, set.KIDs(), 1)
	}
}

func TestParseJWKSAccepts(t *testing.T) {
	accepts := func(change map[string]any) {
		t.Helper()
		key := goodJWK()
		for name, value := range change {
			if value == nil {
				delete(key, name)
			} else {
				key[name] = value
			}
		}
		set, skipped, err := ParseJWKS(document(t, key))
		require.NoError(t, err)
		require.Empty(t, skipped)
		_, err = set.Key("nobody")
		require.ErrorIs(t, err, ErrUnknownKey)
	}
	accepts(nil)
	accepts(map[string]any{"use": nil, "alg": nil})
	accepts(map[string]any{"key_ops": []string{"verify"}, "x5c": []string{"MIIB"}, "x5t": "abc", "oddity": map[string]any{"a": 1}})
	accepts(map[string]any{"kid": strings.Repeat("k", 128)})
}

// The first key of a name keeps it, whatever follows.
func TestParseJWKSDuplicateKid(t *testing.T) {
	first, second := goodJWK(), goodJWK()
	second["n"] = PublicJWK(&testKeys()[1].PublicKey).Modulus
	set, skipped, err := ParseJWKS(document(t, first, second))
	require.NoError(t, err)
	require.Equal(t, []Skipped{{Index: 1, KID: first["kid"].(string), Reason: "duplicate_kid"}}, skipped)
	got, err := set.Key(first["kid"].(string))
	require.NoError(t, err)
	require.True(t, testKeys()[0].PublicKey.Equal(got.Public()))

	first["use"] = "enc"
	_, skipped, err = ParseJWKS(document(t, first, second))
	require.ErrorIs(t, err, ErrJWKS, "not even when the first was unusable")
	require.Len(t, skipped, 2)
}

func TestParseJWKSRefuses(t *testing.T) {
	good := string(document(t, goodJWK()))
	for _, bad := range []string{
		"", "null", "[]", "{}", `{"keys":[]}`, `{"keys":{}}`, `{"keys":null}`, `{"Keys":` + good[8:], good + "x", good[:len(good)-1],
		strings.Replace(good, `"keys"`, `"keys":[],"keys"`, 1), strings.Replace(good, `"kty"`, `"kid":"a","kty"`, 1),
		"<html>", strings.Repeat("[", 10_000), good + strings.Repeat(" ", MaxJWKS),
	} {
		_, _, err := ParseJWKS([]byte(bad))
		require.ErrorIs(t, err, ErrJWKS, "%.60q", bad)
	}
	_, _, err := ParseJWKS([]byte(good + strings.Repeat(" ", MaxJWKS-len(good))))
	require.NoError(t, err)
}

func TestKeySetKIDs(t *testing.T) {
	set := NewKeySet(&testKeys()[0].PublicKey, &testKeys()[1].PublicKey)
	require.Len(t, set.KIDs(), 2)
	require.IsIncreasing(t, set.KIDs())
}

func TestWeakKey(t *testing.T) {
	for _, bits := range []int{MinKeyBits, 3072, MaxKeyBits} {
		n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), uint(bits-2)))
		require.NoError(t, err)
		n.SetBit(n, bits-1, 1).SetBit(n, 0, 1)
		require.Empty(t, WeakKey(&rsa.PublicKey{N: n, E: Exponent}), fmt.Sprint(bits))
		require.Equal(t, "exponent", WeakKey(&rsa.PublicKey{N: n, E: 3}))
	}
}
