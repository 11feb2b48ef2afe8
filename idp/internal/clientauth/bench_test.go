package clientauth_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/clientauth"
)

// What a client pays for a token whose secret was proven before: two digests.
func BenchmarkRecall(b *testing.B) {
	w := newWorld(b, nil)
	attempt := clientauth.Attempt{ClientID: w.credential.ClientID, Secret: right}
	w.remembered(right)
	w.auth.Settle()
	before := w.hasher.calls
	b.ReportAllocs()
	for b.Loop() {
		if _, held := w.auth.Recall(attempt); !held {
			b.Fatal("forgotten")
		}
	}
	require.Equal(b, before, w.hasher.calls)
}
