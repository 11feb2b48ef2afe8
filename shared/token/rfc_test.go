package token

import (
	"crypto/rsa"
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// The published examples: they verify, and no longer when any one character is another.
func TestRFCExamples(t *testing.T) {
	raw, err := os.ReadFile("testdata/rfc.json")
	require.NoError(t, err)
	var examples []struct{ Name, N, JWS string }
	require.NoError(t, json.Unmarshal(raw, &examples))
	require.Len(t, examples, 2)
	for _, example := range examples {
		key, reason := rsaKey(example.N, exponentText)
		require.Empty(t, reason, example.Name)
		require.True(t, verifies(example.JWS, key), example.Name)
		for at := range len(example.JWS) {
			for _, other := range []byte{'A', 'Q', 'g', 'w', '-', '.', '=', example.JWS[at] + 1, example.JWS[at] - 1, example.JWS[at] ^ 0x20} {
				if other == example.JWS[at] {
					continue
				}
				changed := example.JWS[:at] + string([]byte{other}) + example.JWS[at+1:]
				require.False(t, verifies(changed, key), "%s with another character at %d", example.Name, at)
			}
		}
	}
}

// verifies is the strict reading of the compact form and the signature check; the examples have no typ, and one no kid.
func verifies(raw string, key *rsa.PublicKey) bool {
	parts, err := split(raw, MaxLength)
	if err != nil {
		return false
	}
	protected, _ := decode(parts.header)
	var h header
	if ReadObject(protected, h.member) != nil || h.alg != Algorithm || h.forbidden {
		return false
	}
	return parts.signedBy(NewKey(key))
}

func TestThumbprint(t *testing.T) {
	// RFC 7638 section 3.1.
	key, reason := rsaKey("0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn6"+
		"4tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qN"+
		"Lyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw", exponentText)
	require.Empty(t, reason)
	require.Equal(t, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs", Thumbprint(key))
}

func TestPublicJWKReadsBack(t *testing.T) {
	key := &testKeys()[0].PublicKey
	document, err := json.Marshal(JWKS{Keys: []JWK{PublicJWK(key)}})
	require.NoError(t, err)
	set, skipped, err := ParseJWKS(document)
	require.NoError(t, err)
	require.Empty(t, skipped)
	got, err := set.Key(Thumbprint(key))
	require.NoError(t, err)
	require.True(t, key.Equal(got.Public()))
}
