package faults

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/command/commandtest"
)

// On a processor without the instructions of the batch signer crypto/rsa serves,
// and whoever looks can see that: in the log, and wherever the backend is named.
func TestWithoutTheInstructionsOfTheBatchSigner(t *testing.T) {
	p := newProcess(t, plain, onSQLite(t), "AGENTIDP_SIGNER=batch", "GODEBUG=cpu.avx512ifma=off")
	version, err := p.command("--version")
	require.NoError(t, err, version)
	require.Contains(t, version, "signing by crypto/rsa")

	p.Start()
	status, body := p.look()
	require.Equal(t, 200, status, body)
	require.Contains(t, body, `"backend":"crypto/rsa"`)
	status, metrics := commandtest.Ask(p.url() + "/metrics")
	require.Equal(t, 200, status)
	require.Contains(t, string(metrics), `agentidp_sign_backend_info{backend="crypto/rsa"} 1`)
	require.Contains(t, string(metrics), "agentidp_sign_faults 0", "a processor is no fault")
	log, err := os.ReadFile(p.LogPath)
	require.NoError(t, err)
	require.Contains(t, string(log), "this processor has no AVX-512 IFMA")

	c := newClient(p.url, &ledger{})
	t.Cleanup(c.close)
	c.loggedIn(t)
	d, h := c.create("", "")
	require.Equal(t, yes, d.told, "%+v", d)
	d, h = c.credential(h, "")
	require.Equal(t, yes, d.told, "%+v", d)
	d, token := c.issue(h)
	require.Equal(t, yes, d.told, "%+v", d)
	require.True(t, c.known(t, token))
}
