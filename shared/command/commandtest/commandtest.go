// Package commandtest runs the real programs in tests that break them.
package commandtest

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	startTime = time.Minute      // for a program to be ready, on a machine that is busy
	endTime   = 90 * time.Second // and to end
	tailBytes = 6 << 10          // of a log that a failure shows
)

// Process is one program of ours that can be started, broken and started again.
// Its fields are set before it is started.
type Process struct {
	T       *testing.T
	Name    string // in messages, as "the IdP"
	Path    string // of the executable
	Env     []string
	ReadyAt string // URL that answers 200 once it is ready
	LogPath string // where its output is appended

	cmd   *exec.Cmd
	ended chan struct{} // closed when the process has ended; err is set then
	err   error
}

// Tracked makes the process end with the test, and its log be shown when that failed.
func (p *Process) Tracked() {
	p.T.Cleanup(func() {
		if p.Running() {
			p.Kill()
		}
		if p.T.Failed() {
			p.T.Logf("log of %s:\n%s", p.Name, p.LogTail())
		}
	})
}

// Launch starts the process without waiting for it.
func (p *Process) Launch() {
	p.T.Helper()
	log, err := os.OpenFile(p.LogPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(p.T, err)
	p.cmd = exec.Command(p.Path, "serve")
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = p.Env, log, log
	require.NoError(p.T, p.cmd.Start())
	require.NoError(p.T, log.Close())
	p.ended = make(chan struct{})
	go func(cmd *exec.Cmd, ended chan struct{}) {
		p.err = cmd.Wait()
		close(ended)
	}(p.cmd, p.ended)
}

// Start runs the process until it is ready, and says how long that took.
func (p *Process) Start() time.Duration {
	p.T.Helper()
	begun := time.Now()
	p.Launch()
	for time.Since(begun) < startTime {
		if status, _ := Ask(p.ReadyAt); status == http.StatusOK {
			return time.Since(begun)
		}
		if !p.Running() {
			require.Fail(p.T, p.Name+" ended at its start", "%v\n%s", p.err, p.LogTail())
		}
		time.Sleep(2 * time.Millisecond)
	}
	require.Fail(p.T, p.Name+" does not become ready", p.LogTail())
	return 0
}

// PID of the process, which was started.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Running reports whether it was started and has not ended.
func (p *Process) Running() bool {
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

// Wait waits for the end of the process and returns its exit status; -1 after a signal.
func (p *Process) Wait() int {
	p.T.Helper()
	select {
	case <-p.ended:
	case <-time.After(endTime):
		_ = p.cmd.Process.Signal(syscall.SIGQUIT) // its goroutines go to the log
		<-p.ended
		require.Fail(p.T, p.Name+" does not end", p.LogTail())
	}
	return p.ExitStatus()
}

// ExitStatus of the ended process; -1 after a signal.
func (p *Process) ExitStatus() int {
	p.T.Helper()
	var exit *exec.ExitError
	if errors.As(p.err, &exit) {
		return exit.ExitCode()
	}
	require.NoError(p.T, p.err)
	return 0
}

// Signal sends one to the running process.
func (p *Process) Signal(s syscall.Signal) {
	p.T.Helper()
	require.NoError(p.T, p.cmd.Process.Signal(s))
}

// Kill is kill -9.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// Stop ends the process as an operator does.
func (p *Process) Stop() {
	p.T.Helper()
	p.Signal(syscall.SIGTERM)
	require.Zero(p.T, p.Wait(), p.LogTail())
}

// Log is all that it has written since the first start.
func (p *Process) Log() []byte {
	content, err := os.ReadFile(p.LogPath)
	if err != nil {
		return []byte(err.Error())
	}
	return content
}

// LogTail is the end of the log, in whole lines.
func (p *Process) LogTail() string {
	content := p.Log()
	if len(content) > tailBytes {
		_, content, _ = bytes.Cut(content[len(content)-tailBytes:], []byte("\n"))
	}
	return string(content)
}

var probe = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// Ask is one GET; 0 without a whole answer.
func Ask(url string) (status int, body []byte) {
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
