package verify_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/token"
)

func read[T any](t testing.TB, name string) (vectors T) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(testdata, name))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(content, &vectors))
	return vectors
}

func (d documents) body(t testing.TB, name string) string {
	t.Helper()
	for _, document := range d.Documents {
		if document.Name == name {
			return document.Body + strings.Repeat(" ", max(0, document.PadTo-len(document.Body)))
		}
	}
	require.Fail(t, "no such document", name)
	return ""
}

// What the vectors demand of an SDK is what the sidecar does.
func TestTheVectorsAreTheRulesOfTheSidecar(t *testing.T) {
	all, keys := read[tokens](t, "tokens.json"), read[documents](t, "jwks.json")
	for _, document := range keys.Documents {
		set, _, err := token.ParseJWKS([]byte(keys.body(t, document.Name)))
		if document.Usable == nil {
			require.Error(t, err, document.Name)
			continue
		}
		require.NoError(t, err, document.Name)
		require.ElementsMatch(t, document.Usable, set.KIDs(), document.Name)
	}
	set, _, err := token.ParseJWKS([]byte(keys.body(t, all.JWKS)))
	require.NoError(t, err)
	verifier := &token.Verifier{
		Issuer: all.Issuer, Audience: all.Audience, Keys: set, Leeway: time.Duration(all.Leeway) * time.Second,
		MaxLifetime: time.Duration(all.MaxLifetime) * time.Second, Now: func() time.Time { return time.Unix(all.Now, 0) },
	}
	for _, row := range all.Cases {
		claims, err := verifier.Verify(t.Context(), row.Token)
		if row.Expect != "accept" {
			var refused *token.Error
			require.True(t, errors.As(err, &refused), "%s: %v", row.Name, err)
			require.Equal(t, row.Expect, string(refused.Reason), row.Name)
			continue
		}
		require.NoError(t, err, row.Name)
		require.Equal(t, *row.Claims, acceptClaims{
			claims.Subject, claims.ClientID, claims.Organization, claims.Audience, claims.Scope, claims.JTI, claims.IssuedAt, claims.ExpiresAt, claims.KID,
		}, row.Name)
	}
}
