package pgtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/command/commandtest"
)

// Options shape a server.
type Options struct {
	Conf []string // lines of postgresql.conf, such as "fsync = off"
}

// Server is a cluster of its own, for tests that hurt it. Not for concurrent use.
type Server struct {
	binaries string // folder
	folder   string // data folder and log; its watchman removes it
	port     int
	options  Options
	command  *exec.Cmd // nil while stopped
	watchman *os.File  // when it closes, with this process at the latest, everything goes
	leave    sync.Once
}

// Start makes a server that goes with the test.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	s, err := launch(o)
	require.NoError(t, err)
	t.Cleanup(s.remove)
	return s
}

func launch(o Options) (*Server, error) {
	binaries, err := find()
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp(memory(), "agentidp-postgres-")
	if err != nil {
		return nil, err
	}
	s := &Server{binaries: binaries, folder: folder, options: o}
	if err := s.prepare(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	if err := s.start(); err != nil {
		s.remove()
		return nil, err
	}
	return s, nil
}

// memory is a folder that is not on a disk, where there is one: a server syncs
// as it always does, and the tests beside it do not wait for that.
func memory() string {
	const folder = "/dev/shm"
	var stat syscall.Statfs_t
	if err := syscall.Statfs(folder, &stat); err != nil || stat.Bavail*uint64(stat.Bsize) < 2<<30 {
		return ""
	}
	return folder
}

// find looks for initdb and postgres in PATH and where Debian keeps them.
func find() (folder string, err error) {
	candidates, _ := filepath.Glob("/usr/lib/postgresql/*/bin") // the pattern is well-formed
	slices.Reverse(candidates)
	if found, err := exec.LookPath("initdb"); err == nil {
		candidates = append([]string{filepath.Dir(found)}, candidates...)
	}
	for _, folder := range candidates {
		_, missingInit := os.Stat(filepath.Join(folder, "initdb"))
		_, missingServer := os.Stat(filepath.Join(folder, "postgres"))
		if missingInit == nil && missingServer == nil {
			return folder, nil
		}
	}
	return "", errMissing
}

var errMissing = errors.New("initdb and postgres not found: install them (apt-get install postgresql), or set " + Variable)

// watch ends the server and removes its folder once its standard input ends,
// which happens however this process dies.
const watch = `cat >/dev/null
pid=$(head -n 1 "$0/data/postmaster.pid" 2>/dev/null)
if [ -n "$pid" ]; then
    kill -CONT "$pid"; kill -QUIT "$pid"
    while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
fi
rm -rf "$0"`

func (s *Server) prepare() error {
	if err := chown(s.folder); err != nil {
		return err
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		return err
	}
	defer reader.Close()
	watchman := exec.Command("sh", "-c", watch, s.folder)
	watchman.Stdin = reader
	watchman.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt from the terminal is not for it
	if err := watchman.Start(); err != nil {
		return errors.Join(err, writer.Close())
	}
	s.watchman = writer
	ctx, done := context.WithTimeout(context.Background(), patience)
	defer done()
	initdb := s.program(ctx, "initdb", "-D", s.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")
	if output, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, output)
	}
	return s.configure()
}

func (s *Server) configure() error {
	port, err := commandtest.Port()
	if err != nil {
		return err
	}
	s.port = port
	lines := append([]string{
		"listen_addresses = '127.0.0.1'", "port = " + strconv.Itoa(port), "unix_socket_directories = '" + s.folder + "'",
		"max_connections = 200", "shared_buffers = '32MB'", "fsync = on", "autovacuum_naptime = '10s'",
	}, s.options.Conf...)
	return os.WriteFile(filepath.Join(s.data(), "postgresql.auto.conf"), []byte(strings.Join(lines, "\n")+"\n"), 0o644) // the server's user reads it
}

func (s *Server) data() string { return filepath.Join(s.folder, "data") }

// program runs as the user that PostgreSQL demands: not root.
func (s *Server) program(ctx context.Context, name string, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, filepath.Join(s.binaries, name), args...)
	command.Dir = s.folder
	command.SysProcAttr = Unprivileged()
	return command
}

func (s *Server) start() error {
	log, err := os.OpenFile(filepath.Join(s.folder, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	s.command = s.program(context.Background(), "postgres", "-D", s.data())
	s.command.Stdout, s.command.Stderr = log, log
	if err := s.command.Start(); err != nil {
		return err
	}
	for started := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		err := run(context.Background(), s.URL("postgres"), "SELECT 1")
		if err == nil {
			return nil
		}
		if time.Since(started) > patience {
			return fmt.Errorf("%w\n%s", err, s.log())
		}
		if exited, _ := syscall.Wait4(s.command.Process.Pid, nil, syscall.WNOHANG, nil); exited != 0 {
			s.command = nil
			return fmt.Errorf("postgres ended at once\n%s", s.log())
		}
	}
}

func (s *Server) log() string {
	text, err := os.ReadFile(filepath.Join(s.folder, "log"))
	return fmt.Sprintf("%s%v", text, err)
}

// URL is the address of a database by that name, which need not exist.
func (s *Server) URL(database string) string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/%s?sslmode=disable", s.port, database)
}

// Address is the server's host and port.
func (s *Server) Address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// Exec runs one statement in the database by that name, as superuser.
func (s *Server) Exec(t testing.TB, database, statement string) {
	t.Helper()
	require.NoError(t, run(t.Context(), s.URL(database), statement))
}

// Stop ends the server: "fast" orderly, "immediate" as a crash does.
func (s *Server) Stop(t testing.TB, mode string) {
	t.Helper()
	signals := map[string]syscall.Signal{"fast": syscall.SIGINT, "immediate": syscall.SIGQUIT}
	require.Contains(t, signals, mode)
	require.NoError(t, s.command.Process.Signal(signals[mode]))
	_, err := s.command.Process.Wait()
	require.NoError(t, err)
	s.command = nil
}

// Start starts a stopped server again, on the same port and data.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	require.NoError(t, s.start())
}

// Restart is Stop and Start.
func (s *Server) Restart(t testing.TB, mode string) {
	t.Helper()
	s.Stop(t, mode)
	s.Start(t)
}

// Signal sends every process of the server a signal, such as SIGSTOP and SIGCONT.
func (s *Server) Signal(t testing.TB, signal syscall.Signal) {
	t.Helper()
	pid := s.command.Process.Pid
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	require.NoError(t, err)
	for _, field := range append([]string{strconv.Itoa(pid)}, strings.Fields(string(children))...) {
		process, err := strconv.Atoi(field)
		require.NoError(t, err)
		if err := syscall.Kill(process, signal); !errors.Is(err, syscall.ESRCH) { // one may have ended
			require.NoError(t, err)
		}
	}
}

// remove ends the server whatever state it is in; its watchman clears up.
func (s *Server) remove() {
	s.leave.Do(func() {
		_ = s.watchman.Close()
		if s.command != nil {
			_, _ = s.command.Process.Wait()
		}
	})
}

// Standby makes a stopped server come back as a standby without a primary, which takes reads only, or as a primary again.
func (s *Server) Standby(t testing.TB, is bool) {
	t.Helper()
	signal := filepath.Join(s.data(), "standby.signal")
	if !is {
		require.NoError(t, os.Remove(signal))
		return
	}
	require.NoError(t, os.WriteFile(signal, nil, 0o644)) // the server's user reads it
}
