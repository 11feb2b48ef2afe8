package faults

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// process is one program that can be started, broken and started again.
type process struct {
	t       *testing.T
	name    string
	path    string
	env     []string
	readyAt string // URL that answers 200 once it is ready
	logPath string

	cmd   *exec.Cmd
	ended chan struct{} // closed when the process has ended; err is set then
	err   error
}

// tracked makes the process end with the test, and its log be shown when that failed.
func (p *process) tracked() *process {
	p.t.Cleanup(func() {
		if p.running() {
			p.kill()
		}
		if p.t.Failed() {
			p.t.Logf("log of %s:\n%s", p.name, p.logTail())
		}
	})
	return p
}

var ports struct {
	sync.Mutex
	taken map[int]bool
}

// freePort is outside the range that outgoing connections take their ports
// from, so that it is still free after a restart, and given out once.
func freePort(t *testing.T) int {
	t.Helper()
	ports.Lock()
	defer ports.Unlock()
	if ports.taken == nil {
		ports.taken = map[int]bool{}
	}
	for range 100 {
		port := 10000 + rand.IntN(10000)
		if ports.taken[port] {
			continue
		}
		if listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			require.NoError(t, listener.Close())
			ports.taken[port] = true
			return port
		}
	}
	require.Fail(t, "no free port")
	return 0
}

func freeAddr(t *testing.T) string { return fmt.Sprintf("127.0.0.1:%d", freePort(t)) }

// launch starts the process without waiting for it.
func (p *process) launch() {
	p.t.Helper()
	log, err := os.OpenFile(p.logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(p.t, err)
	p.cmd = exec.Command(p.path, "serve")
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = p.env, log, log
	require.NoError(p.t, p.cmd.Start())
	require.NoError(p.t, log.Close())
	p.ended = make(chan struct{})
	go func(cmd *exec.Cmd, ended chan struct{}) {
		p.err = cmd.Wait()
		close(ended)
	}(p.cmd, p.ended)
}

// start runs the process until it is ready, and says how long that took.
func (p *process) start() time.Duration {
	p.t.Helper()
	p.launch()
	return await(p.t, p.name+" is ready", func() bool {
		if !p.running() {
			require.Fail(p.t, p.name+" ended at its start", "%v\n%s", p.err, p.logTail())
		}
		status, _ := ask(p.readyAt)
		return status == http.StatusOK
	})
}

var probe = &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// ask is one GET; 0 without an answer.
func ask(url string) (status int, body []byte) {
	response, err := probe.Get(url)
	if err != nil {
		return 0, nil
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, nil
	}
	return response.StatusCode, content
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
	case <-time.After(2 * patience):
		_ = p.cmd.Process.Signal(syscall.SIGQUIT) // its goroutines go to the log
		<-p.ended
		require.Fail(p.t, p.name+" does not end", p.logTail())
	}
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

// memory is a line of /proc/PID/status, such as VmRSS or VmHWM (the most it ever was), in bytes.
func (p *process) memory(line string) int64 {
	p.t.Helper()
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	require.NoError(p.t, err)
	_, rest, found := strings.Cut(string(content), line+":")
	require.True(p.t, found)
	kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	require.NoError(p.t, err)
	return kib << 10
}

// forgetPeak makes VmHWM begin anew.
func (p *process) forgetPeak() {
	p.t.Helper()
	require.NoError(p.t, os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.cmd.Process.Pid), []byte("5"), 0))
}

func (p *process) log() []byte {
	content, err := os.ReadFile(p.logPath)
	if err != nil {
		return []byte(err.Error())
	}
	return content
}

func (p *process) logTail() string {
	content := p.log()
	if limit := 6 << 10; len(content) > limit {
		content = content[len(content)-limit:]
		_, content, _ = bytes.Cut(content, []byte("\n"))
	}
	return string(content)
}

// lastLog is the last line of the log with this message; nil when there is none.
func (p *process) lastLog(message string) (line map[string]any) {
	for raw := range bytes.Lines(p.log()) {
		var one map[string]any
		if json.Unmarshal(raw, &one) == nil && one["msg"] == message {
			line = one
		}
	}
	return line
}
