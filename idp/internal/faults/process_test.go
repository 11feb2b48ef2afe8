package faults

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// process is one agentidp that can be started, broken and started again.
type process struct {
	t       *testing.T
	program string
	addr    string
	dir     string // of its own: master key, checkpoint copy; with SQLite the store
	env     []string
	logPath string
	armFile string

	cmd   *exec.Cmd
	ended chan struct{} // closed when the process has ended; err is set then
	err   error
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
	return newProcessOf(t, program(t, tags), s, env...)
}

// newProcessOf is newProcess with a program that was built otherwise.
func newProcessOf(t *testing.T, path string, s *site, env ...string) *process {
	t.Helper()
	scratch := t.TempDir()
	dir := s.dir
	if dir == "" {
		dir = filepath.Join(scratch, "data")
	}
	p := &process{
		t: t, program: path, addr: freeAddr(t), dir: dir,
		logPath: filepath.Join(scratch, "idp.log"), armFile: filepath.Join(scratch, "armed"),
	}
	if s.issuer == "" {
		s.issuer = p.url()
	}
	p.env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + scratch,
		"AGENTIDP_ADDR=" + p.addr, "AGENTIDP_ISSUER=" + s.issuer, "AGENTIDP_DATA_DIR=" + dir, "AGENTIDP_MASTER_KEY=" + masterKey,
		"AGENTIDP_BOOTSTRAP_CLIENT_ID=" + adminID, "AGENTIDP_BOOTSTRAP_CLIENT_SECRET=" + adminSecret,
		"AGENTIDP_TRUSTED_PROXIES=127.0.0.1/32", // our X-Request-Id tells which request an event is of
		"AGENTIDP_LIMITS_AGENTS=0", "AGENTIDP_LIMITS_TOKENS_PER_MONTH=0", "AGENTIDP_LIMITS_REQUESTS_PER_MINUTE=0",
		"AGENTIDP_LOG_LEVEL=warn",
	}, append(s.env, env...)...)
	if filepath.Base(path) == "agentidp-"+faultful {
		p.env = append(p.env, "AGENTIDP_FAULT=@"+p.armFile)
	}
	t.Cleanup(func() {
		if p.running() {
			p.kill()
		}
		if t.Failed() {
			t.Log("log of the IdP:\n" + p.logTail())
		}
	})
	return p
}

// freeAddr is outside the range that outgoing connections take their ports
// from, so that it is still free after a restart.
func freeAddr(t *testing.T) string {
	t.Helper()
	for range 100 {
		addr := fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(10000))
		if listener, err := net.Listen("tcp", addr); err == nil {
			require.NoError(t, listener.Close())
			return addr
		}
	}
	require.Fail(t, "no free port")
	return ""
}

func (p *process) url() string { return "http://" + p.addr }

// everywhere makes the process listen on all addresses, as in a deployment.
func (p *process) everywhere() {
	_, port, err := net.SplitHostPort(p.addr)
	require.NoError(p.t, err)
	p.env = append(p.env, "AGENTIDP_ADDR=0.0.0.0:"+port)
}

// launch starts the process without waiting for it.
func (p *process) launch() {
	p.t.Helper()
	log, err := os.OpenFile(p.logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(p.t, err)
	p.cmd = exec.Command(p.program, "serve")
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = p.env, log, log
	require.NoError(p.t, p.cmd.Start())
	require.NoError(p.t, log.Close())
	p.ended = make(chan struct{})
	go func(cmd *exec.Cmd, ended chan struct{}) {
		p.err = cmd.Wait()
		close(ended)
	}(p.cmd, p.ended)
}

// start runs the process until it is healthy, and says how long that took.
func (p *process) start() time.Duration {
	p.t.Helper()
	p.launch()
	begun := time.Now()
	for time.Since(begun) < patience {
		if p.health() == http.StatusOK {
			return time.Since(begun)
		}
		if !p.running() {
			require.Fail(p.t, "the IdP ended at its start", "%v\n%s", p.err, p.logTail())
		}
		time.Sleep(2 * time.Millisecond)
	}
	require.Fail(p.t, "the IdP does not become healthy", p.logTail())
	return 0
}

var probe = &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// health is the status of /health; 0 without an answer.
func (p *process) health() int {
	status, _ := p.look()
	return status
}

// look is the answer of /health.
func (p *process) look() (status int, body string) {
	response, err := probe.Get(p.url() + "/health")
	if err != nil {
		return 0, ""
	}
	defer response.Body.Close()
	content, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(content)
}

func (p *process) running() bool {
	if p.cmd == nil {
		return false
	}
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// wait waits for the end of the process and returns its exit status; -1 after a signal.
func (p *process) wait() int {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(20 * time.Second):
		_ = p.cmd.Process.Signal(syscall.SIGQUIT) // its goroutines go to the log
		<-p.ended
		require.Fail(p.t, "the IdP does not end", p.logTail())
	}
	return p.exitStatus()
}

// exitStatus of the ended process; -1 after a signal.
func (p *process) exitStatus() int {
	p.t.Helper()
	var exit *exec.ExitError
	if errors.As(p.err, &exit) {
		return exit.ExitCode()
	}
	require.NoError(p.t, p.err)
	return 0
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(s))
}

// kill is kill -9.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// stop ends the process as an operator does.
func (p *process) stop() {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	require.Zero(p.t, p.wait(), p.logTail())
}

// arm makes the next passage of the running process fail; "" disarms.
func (p *process) arm(line string) {
	p.t.Helper()
	require.NoError(p.t, os.WriteFile(p.armFile+".new", []byte(line), 0o600))
	require.NoError(p.t, os.Rename(p.armFile+".new", p.armFile))
}

// command runs another agentidp command with the process's settings.
func (p *process) command(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.program, args...)
	cmd.Env = p.env
	output, err := cmd.CombinedOutput()
	return string(output), err
}

// verify holds the audit log of the stopped process against what was signed.
func (p *process) verify() {
	p.t.Helper()
	output, err := p.command("audit", "verify", "--offline")
	require.NoError(p.t, err, output)
	require.Contains(p.t, output, "valid: ")
}

func (p *process) log() string {
	content, err := os.ReadFile(p.logPath)
	if err != nil {
		return err.Error()
	}
	return string(content)
}

func (p *process) logTail() string {
	content := []byte(p.log())
	if limit := 4 << 10; len(content) > limit {
		content = content[len(content)-limit:]
		_, content, _ = bytes.Cut(content, []byte("\n"))
	}
	return string(content)
}
