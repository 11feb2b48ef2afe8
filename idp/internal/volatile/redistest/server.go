// Package redistest starts real Redis servers for tests, as children that die
// with the test.
package redistest

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/command/commandtest"
)

// Patience is how long a server may take to become what a test waits for.
const Patience = time.Minute

// Server is one redis-server or redis-sentinel.
type Server struct {
	Addr string // host:port on loopback

	t       testing.TB
	binary  string
	args    []string
	folder  string
	process *exec.Cmd // nil: stopped, or not ours
	done    chan struct{}
}

// start runs a binary on a free port, in its own folder.
func start(t testing.TB, binary string, args ...string) *Server {
	t.Helper()
	path, err := exec.LookPath(binary)
	if err != nil {
		t.Fatalf("%s is missing: apt-get install redis-server redis-sentinel redis-tools", binary)
	}
	s := &Server{Addr: "127.0.0.1:" + FreePort(t), t: t, binary: path, folder: t.TempDir()}
	s.args = append([]string{
		"--port", s.port(), "--bind", "127.0.0.1", "--dir", s.folder, "--daemonize", "no", "--logfile", filepath.Join(s.folder, "log"),
	}, args...)
	if binary == "redis-server" {
		s.args = append(s.args, "--save", "", "--appendonly", "no")
	} else { // sentinels keep their state in their configuration
		file := filepath.Join(s.folder, "sentinel.conf")
		require.NoError(t, os.WriteFile(file, nil, 0o600))
		s.args = append([]string{file}, s.args...)
	}
	t.Cleanup(s.kill)
	s.Start()
	return s
}

// FreePort is a port that is free, and 10000 above it another, for Cluster's bus.
func FreePort(t testing.TB) string {
	t.Helper()
	for range 100 {
		if port := commandtest.FreePort(t, 10_000); commandtest.TakePort(port + 10_000) {
			return strconv.Itoa(port)
		}
	}
	t.Fatal("no free port")
	return ""
}

func (s *Server) port() string {
	_, port, _ := net.SplitHostPort(s.Addr)
	return port
}

// Start runs the server, again after Stop, on the same address and empty, and
// waits until it answers.
func (s *Server) Start() {
	s.t.Helper()
	require.Nil(s.t, s.process, "already running")
	s.process = exec.Command(s.binary, s.args...) //nolint:gosec,noctx // a test's own server; it lives until the test ends it
	s.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(s.t, s.process.Start())
	s.done = make(chan struct{})
	go func(process *exec.Cmd, done chan struct{}) {
		_ = process.Wait() // killed, as a rule
		close(done)
	}(s.process, s.done)
	client := redis.NewClient(&redis.Options{Addr: s.Addr, MaxRetries: -1})
	defer client.Close() //nolint:errcheck // lets go of connections only
	require.Eventually(s.t, func() bool {
		err := client.Ping(context.Background()).Err()
		return err == nil || redis.IsAuthError(err) // a password is the test's business
	}, Patience, 20*time.Millisecond, "%s", s.args)
}

// Stop kills the server.
func (s *Server) Stop() {
	s.t.Helper()
	require.NotNil(s.t, s.process, "not started by this test, or stopped already")
	s.kill()
}

func (s *Server) kill() {
	if s.process == nil {
		return
	}
	_ = s.process.Process.Kill() // gone already is fine
	<-s.done
	s.process = nil
}

// Pause lets the server hang with its connections open, until Resume.
func (s *Server) Pause() { s.signal(syscall.SIGSTOP) }

// Resume ends a Pause.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(signal syscall.Signal) {
	s.t.Helper()
	require.NotNil(s.t, s.process, "not running, or not started by this test")
	require.NoError(s.t, s.process.Process.Signal(signal))
}

// URL is the server's alone.
func (s *Server) URL() string { return "redis://" + s.Addr }

// Do runs one command on the server and returns its reply.
func (s *Server) Do(command ...any) any {
	s.t.Helper()
	reply, err := s.Try(command...)
	require.NoError(s.t, err, "%v", command)
	return reply
}

// Try is Do for a command that may fail.
func (s *Server) Try(command ...any) (any, error) {
	client := redis.NewClient(&redis.Options{Addr: s.Addr, MaxRetries: -1, Protocol: 2})
	defer client.Close() //nolint:errcheck // lets go of connections only
	return client.Do(context.Background(), command...).Result()
}

// FlushAll removes every key and every script.
func (s *Server) FlushAll() {
	s.t.Helper()
	s.Do("FLUSHALL")
	s.Do("SCRIPT", "FLUSH")
}

// info reads one field of INFO.
func (s *Server) info(section, field string) string {
	reply, _ := s.Try("INFO", section) // what does not answer has no field
	text, _ := reply.(string)
	for line := range strings.Lines(text) {
		if value, found := strings.CutPrefix(strings.TrimSpace(line), field+":"); found {
			return value
		}
	}
	return ""
}
