package clientauth

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/idp/internal/turnstile"
)

// A secret that cannot be right is not even looked for in memory: the time of a
// digest of it would tell that the client is known.
func TestRecallLooksForNoImpossibleSecret(t *testing.T) {
	line := turnstile.New(1, 1)
	a := &Authenticator{options: Options{Now: time.Now}, line: line, meters: newMeters(metrics.NewSet(), line)}
	var err error
	a.proofs, err = newProofs(8)
	require.NoError(t, err)
	defer a.proofs.cache.Close()
	a.gates, err = newGates()
	require.NoError(t, err)
	defer a.gates.cache.Close()
	gate := store.Gate{Agent: idp.Agent{Status: idp.Active}, Credential: idp.Credential{ID: "credential", ClientID: "client", Status: idp.CredentialActive}}
	a.gates.remember(gate)
	for secret, possible := range map[string]bool{"right": true, "": false, "right\x00": false, strings.Repeat("x", 65): false, strings.Repeat("x", 60<<10): false} {
		a.proofs.remember(&gate.Credential, slotCurrent, secret) // as nothing does
		a.Settle()
		_, held := a.Recall(Attempt{ClientID: "client", Secret: secret})
		require.Equal(t, possible, held, "%d bytes", len(secret))
	}
}

// A program that was stopped while it hashed does not rest for as long.
func TestARestIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &Authenticator{line: turnstile.New(1, 1)}
		for took, rests := range map[time.Duration]time.Duration{100 * time.Millisecond: 100 * time.Millisecond, time.Hour: restMost} {
			require.NoError(t, a.line.Enter(t.Context()))
			at := standing{a: a, inside: true, since: time.Now().Add(-took)}
			at.rest()
			began := time.Now()
			require.NoError(t, a.line.Enter(t.Context()))
			require.Equal(t, rests, time.Since(began))
			a.line.Leave()
		}
	})
}
