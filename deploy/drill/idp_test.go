package drill_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/command/commandtest"
)

const (
	adminID     = "aidp_c_drillADMIN000000000000"
	adminSecret = "drill-secret-of-the-administrator-0123456789"
	masterKey   = "AGENTIDP_MASTER_KEY=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
	audience    = "https://notes.example.com"
)

// idp is one replica. Its machine is a folder, in which data is its data folder.
type idp struct {
	commandtest.Process
	url, machine string
}

// newIdP prepares a replica of the program in a folder. Its issuer is the first one's URL, "" for the first.
func newIdP(t *testing.T, bin, issuer string, env ...string) *idp {
	t.Helper()
	machine := t.TempDir()
	addr := fmt.Sprintf("127.0.0.1:%d", commandtest.FreePort(t, 20_000))
	p := &idp{
		Process: commandtest.Process{T: t, Name: "the IdP", Path: filepath.Join(bin, "agentidp"), ReadyAt: "http://" + addr + "/health", LogPath: filepath.Join(machine, "idp.log")},
		url:     "http://" + addr, machine: machine,
	}
	if issuer == "" {
		issuer = p.url
	}
	require.NoError(t, os.MkdirAll(p.data(), 0o700))
	p.Env = append([]string{
		"PATH=" + bin + ":" + os.Getenv("PATH"), "HOME=" + machine,
		"AGENTIDP_ADDR=" + addr, "AGENTIDP_ISSUER=" + issuer, "AGENTIDP_DATA_DIR=" + p.data(), masterKey,
		"AGENTIDP_PEPPER=1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", "AGENTIDP_BCRYPT_COST=0", // refusals cost little
		"AGENTIDP_BOOTSTRAP_CLIENT_ID=" + adminID, "AGENTIDP_BOOTSTRAP_CLIENT_SECRET=" + adminSecret,
		"AGENTIDP_LIMITS_AGENTS=0", "AGENTIDP_LIMITS_TOKENS_PER_MONTH=0", "AGENTIDP_LIMITS_REQUESTS_PER_MINUTE=0",
		"AGENTIDP_LOG_LEVEL=warn",
	}, env...)
	p.Tracked()
	return p
}

func (p *idp) data() string { return filepath.Join(p.machine, "data") }

// sh runs commands on its machine, with its settings.
func (p *idp) sh(commands string) (printed string) {
	p.T.Helper()
	return sh(p.T, p.machine, p.Env, commands)
}

// refused runs commands of which the last must fail, and say why.
func (p *idp) refused(why, commands string, env ...string) {
	p.T.Helper()
	printed, err := try(p.machine, append(p.Env[:len(p.Env):len(p.Env)], env...), commands)
	require.Error(p.T, err, printed)
	require.Contains(p.T, printed, why)
}

// startRefused starts the process, which must end and say why.
func (p *idp) startRefused(why string) {
	p.T.Helper()
	p.Launch()
	require.NotZero(p.T, p.Wait())
	require.Contains(p.T, string(p.Log()), why)
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(content)
}
