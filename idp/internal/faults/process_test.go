package faults

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/command/commandtest"
)

// process is one agentidp that can be started, broken and started again.
type process struct {
	commandtest.Process
	addr    string
	dir     string // of its own: master key, checkpoint copy; with SQLite the store
	armFile string
}

const (
	adminID     = "aidp_c_faultsADMIN00000000000"
	adminSecret = "fault-harness-secret-0123456789abcdefghij"
	masterKey   = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
)

// newProcess prepares a process on the site; it is not running yet. Further
// processes on one site share its issuer.
func newProcess(t *testing.T, tags string, s *site, env ...string) *process {
	t.Helper()
	var flags []string
	if tags != plain {
		flags = []string{"-tags=" + tags}
	}
	p := newProcessOf(t, program(t, tags, flags...), s, env...)
	if tags == faultful {
		p.Env = append(p.Env, "AGENTIDP_FAULT=@"+p.armFile)
	}
	return p
}

// newProcessOf is newProcess with a program that was built otherwise.
func newProcessOf(t *testing.T, path string, s *site, env ...string) *process {
	t.Helper()
	scratch := t.TempDir()
	dir := s.dir
	if dir == "" {
		dir = filepath.Join(scratch, "data")
	}
	addr := freeAddr(t)
	p := &process{
		Process: commandtest.Process{T: t, Name: "the IdP", Path: path, ReadyAt: "http://" + addr + "/health", LogPath: filepath.Join(scratch, "idp.log")},
		addr:    addr, dir: dir, armFile: filepath.Join(scratch, "armed"),
	}
	if s.issuer == "" {
		s.issuer = p.url()
	}
	p.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + scratch,
		"AGENTIDP_ADDR=" + p.addr, "AGENTIDP_ISSUER=" + s.issuer, "AGENTIDP_DATA_DIR=" + dir, "AGENTIDP_MASTER_KEY=" + masterKey,
		"AGENTIDP_BOOTSTRAP_CLIENT_ID=" + adminID, "AGENTIDP_BOOTSTRAP_CLIENT_SECRET=" + adminSecret,
		"AGENTIDP_TRUSTED_PROXIES=127.0.0.1/32", // our X-Request-Id tells which request an event is of
		"AGENTIDP_LIMITS_AGENTS=0", "AGENTIDP_LIMITS_TOKENS_PER_MONTH=0", "AGENTIDP_LIMITS_REQUESTS_PER_MINUTE=0",
		"AGENTIDP_LOG_LEVEL=warn",
	}, append(s.env, env...)...)
	p.Tracked()
	return p
}

func freeAddr(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf("127.0.0.1:%d", commandtest.FreePort(t, 20_000))
}

func (p *process) url() string { return "http://" + p.addr }

// everywhere makes the process listen on all addresses, as in a deployment.
func (p *process) everywhere() {
	_, port, err := net.SplitHostPort(p.addr)
	require.NoError(p.T, err)
	p.Env = append(p.Env, "AGENTIDP_ADDR=0.0.0.0:"+port)
}

// health is the status of /health; 0 without an answer.
func (p *process) health() int {
	status, _ := p.look()
	return status
}

// look is the answer of /health.
func (p *process) look() (status int, body string) {
	status, content := commandtest.Ask(p.ReadyAt)
	return status, string(content)
}

// arm makes the next passage of the running process fail; "" disarms.
func (p *process) arm(line string) {
	p.T.Helper()
	require.NoError(p.T, os.WriteFile(p.armFile+".new", []byte(line), 0o600))
	require.NoError(p.T, os.Rename(p.armFile+".new", p.armFile))
}

// command runs another agentidp command with the process's settings.
func (p *process) command(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.Path, args...)
	cmd.Env = p.Env
	output, err := cmd.CombinedOutput()
	return string(output), err
}

// verify holds the audit log of the stopped process against what was signed.
func (p *process) verify() {
	p.T.Helper()
	output, err := p.command("audit", "verify", "--offline")
	require.NoError(p.T, err, output)
	require.Contains(p.T, output, "valid: ")
}
