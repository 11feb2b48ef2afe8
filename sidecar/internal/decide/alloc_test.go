//go:build !race

package decide

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/alloctest"
)

// Under the race detector sync.Pool drops items at random, so ristretto allocates there.
func TestHitAllocatesNothing(t *testing.T) {
	d := newDecider(t, newHolder(t, `decision := {"allow": input.request.path == "/notes/7", "reason": "x"}`, patient), Options{})
	digest, in := request()
	require.True(t, decide(t, d, digest, in).Allow)
	before := d.cache.hits.Get()
	alloctest.Zero(t, func() {
		if decision, err := d.Decide(t.Context(), digest, in); err != nil || !decision.Allow {
			t.Fatal(decision, err)
		}
	})
	require.Greater(t, d.cache.hits.Get(), before+1000)
}
