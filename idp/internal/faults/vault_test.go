package faults

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/vault/vaulttest"
)

// F22: Vault is sealed, answers ten seconds late, or knows neither our token
// nor our role, under load. What needs it is answered 503, never 401, and it heals by itself.
func TestF22Vault(t *testing.T) {
	server := vaulttest.NewDouble(t)
	proxy := server.NewProxy(t)
	role, secret := server.AppRole(t, time.Hour, time.Hour)
	tr := newTrial(t, plain, onSQLite(t), "VAULT_ADDR="+proxy.Addr, "VAULT_MOUNT="+server.Mount(t),
		"AGENTIDP_VAULT_ROLE_ID="+role, "AGENTIDP_VAULT_SECRET_ID="+secret)
	denied := func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, `{"errors":["permission denied"]}`, http.StatusForbidden)
	}
	tr.process.Start()
	load := tr.load()
	tr.flowing(20)
	count := func(status int) int { return tr.ledger.count(func(d *deed) bool { return d.status == status }) }
	refused := 0
	for range pick(1, 5) {
		for _, fault := range []struct{ begin, end func() }{
			{func() { server.Seal(t) }, func() { server.Unseal(t) }},
			{func() { proxy.SetDelay(10 * time.Second) }, func() { proxy.SetDelay(0) }},
			{func() { proxy.Instead(denied) }, func() { proxy.Instead(nil) }},
		} {
			before, begun := count(http.StatusServiceUnavailable), time.Now()
			fault.begin()
			await(t, "what needs Vault is refused", func() bool { return count(http.StatusServiceUnavailable) >= before+5 })
			await(t, "health is degraded, and 200", func() bool {
				status, body := tr.process.look()
				return status == http.StatusOK && strings.Contains(body, `"degraded"`)
			})
			fault.end()
			tr.flowing(20)
			tr.figures.downtime = max(tr.figures.downtime, time.Since(begun))
			tr.figures.runs++
			refused += count(http.StatusServiceUnavailable) - before
		}
	}
	load.stop()
	wrong := count(http.StatusUnauthorized)
	require.Empty(t, tr.wrong())
	figures := tr.close()
	figures.extra = fmt.Sprintf("wrong_401=%d refused_503=%d", wrong, refused)
	report(t, "F22", figures)
	require.Zero(t, wrong)
}
