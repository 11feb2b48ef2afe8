package clientauth_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/clientauth"
)

// What a client pays whose secret was proven before: one read and two digests.
func BenchmarkRemembered(b *testing.B) {
	w := newWorld(b, nil)
	attempt := clientauth.Attempt{ClientID: w.credential.ClientID, Secret: right}
	w.remembered(right)
	before := w.hasher.calls
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.auth.Authenticate(b.Context(), attempt); err != nil {
			b.Fatal(err)
		}
	}
	require.Equal(b, before, w.hasher.calls)
}
