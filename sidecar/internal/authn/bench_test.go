package authn

import (
	"crypto/rsa"
	"fmt"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/token"
)

// oneKey is a key set that never changes.
type oneKey struct {
	keys
	key *token.Key
}

func (k *oneKey) Key(string) (*token.Key, error) { return k.key, nil }
func (k *oneKey) Epoch() uint64                  { return 1 }

// BenchmarkRecall is a token that is remembered.
func BenchmarkRecall(b *testing.B) {
	a, raw := benched(b, 0)
	_, err := a.Verify(b.Context(), raw)
	require.NoError(b, err)
	a.cache.Wait()
	b.ReportAllocs()
	for b.Loop() {
		if _, known := a.Recall(raw); !known {
			b.Fatal("forgotten")
		}
	}
}

// BenchmarkVerify is one that never is.
func BenchmarkVerify(b *testing.B) {
	a, raw := benched(b, -1)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Verify(b.Context(), raw); err != nil {
			b.Fatal(err)
		}
	}
}

func benched(b *testing.B, entries int64) (*Authenticator, string) {
	private, err := generate()
	require.NoError(b, err)
	a, err := New(Options{Issuer: issuer, Audience: audience, Keys: &oneKey{key: token.NewKey(&private.PublicKey)}, Entries: entries})
	require.NoError(b, err)
	b.Cleanup(a.Close)
	return a, benchToken(b, private)
}

func benchToken(b *testing.B, private *rsa.PrivateKey) string {
	now := time.Now()
	t := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims{
		"iss": issuer, "sub": "agent-1", "aud": audience, "client_id": "aidp_c_0123456789abcdefghijkl", "scope": "notes:read",
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "jti": fmt.Sprint(now.UnixNano()), "org": "default", "rev": []int{0, 0, 0},
	})
	t.Header["kid"], t.Header["typ"] = "k1", token.Type
	raw, err := t.SignedString(private)
	require.NoError(b, err)
	return raw
}
