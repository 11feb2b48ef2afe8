package vault

import (
	"encoding/base64"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Whatever Vault answers, nothing panics, and nothing that is not whole is used.
func FuzzAnswer(f *testing.F) {
	for _, text := range []string{
		`{"data":{"data":{"hmacSha256":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},"metadata":{"version":1}}}`,
		`{"data":{"data":null,"metadata":{"version":1,"destroyed":true}}}`,
		`{"auth":{"client_token":"hvs.x","lease_duration":3600,"renewable":true}}`,
		`{"data":{"ttl":3600,"renewable":true}}`, `{"data":{"ciphertext":"vault:v1:AAAA"}}`,
		`{"data":{"data":{"key":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}}}`, `{"errors":[]}`, `null`, ``, `{"data":7,"auth":[]}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var v versioned
		if decode(text, &v) == nil {
			if digest, err := v.digest(v.Metadata.Version); err == nil {
				require.Len(t, digest, digestSize)
				_, err = v.digest(v.Metadata.Version + 1)
				require.Error(t, err)
			}
		}
		var whole answer
		if decode(text, &whole) == nil && whole.Auth != nil {
			var g grant
			now := time.Unix(1e9, 0)
			g.until(now, whole.Auth.lease())
			require.False(t, g.expired(now))
			require.False(t, !g.expires.IsZero() && g.due(now).Before(now))
		}
		var key struct{ Data struct{ Key string } }
		if decode(text, &key) == nil {
			if bytes, err := decodeKey(key.Data.Key); err == nil {
				require.Len(t, bytes, MasterKeySize)
			}
		}
		require.NotPanics(t, func() { _ = decode(text, nil) })
	})
}

// What a row keeps is read as it was written, or not at all.
func FuzzReference(f *testing.F) {
	r := reference{id: "3f0b", version: 7}
	f.Add(r.String())
	f.Add("v1$00$id$1$" + base64.RawURLEncoding.EncodeToString(make([]byte, 32)))
	f.Add("vault:v3:AAAA")
	f.Fuzz(func(t *testing.T, text string) {
		if r, err := parse(text); err == nil {
			again, err := parse(r.String())
			require.NoError(t, err)
			require.Equal(t, r, again)
			require.NotContains(t, r.id, "/")
		}
		if version, err := wrappedVersion(text); err == nil {
			require.Positive(t, version)
		}
	})
}
