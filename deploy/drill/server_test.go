package drill_test

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/command/commandtest"
)

// server is a PostgreSQL server of the test's own.
type server struct {
	t    *testing.T
	bin  string // folder of its programs
	dir  string // its data are in dir/data
	port int
	cmd  *exec.Cmd
}

// watch ends the server and removes its folder when its standard input ends,
// which happens however the test ends.
const watch = `cat >/dev/null
pid=$(head -n 1 "$0/data/postmaster.pid" 2>/dev/null)
[ -z "$pid" ] || kill -QUIT "$pid"
while [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
rm -rf "$0"`

// newServer starts one on a port that stays the test's own.
func newServer(t *testing.T) *server {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	require.NoError(t, err)
	if path, err := exec.LookPath("initdb"); err == nil && len(found) == 0 {
		found = []string{filepath.Dir(path)}
	}
	require.NotEmpty(t, found, "initdb and postgres not found: apt-get install postgresql")
	dir, err := os.MkdirTemp("", "agentidp-drill-") //nolint:usetesting // it is another user's, who may not enter t.TempDir
	require.NoError(t, err)
	s := &server{t: t, bin: slices.Max(found), dir: dir, port: commandtest.FreePort(t, 10_000)}
	reader, writer, err := os.Pipe()
	require.NoError(t, err)
	watchman := exec.Command("sh", "-c", watch, dir)
	watchman.Stdin, watchman.SysProcAttr = reader, &syscall.SysProcAttr{Setpgid: true}
	require.NoError(t, watchman.Start())
	require.NoError(t, reader.Close())
	t.Cleanup(func() {
		require.NoError(t, writer.Close())
		_ = s.cmd.Wait() // it was ended, or is so already
		require.NoError(t, watchman.Wait())
	})
	if os.Getuid() == 0 {
		uid, gid := s.user()
		require.NoError(t, os.Chown(s.dir, uid, gid))
	}
	s.sh("mkdir archive backups")
	s.empty()
	return s
}

// empty makes a cluster without anything, and serves it.
func (s *server) empty() {
	s.t.Helper()
	s.sh("initdb -D data -U postgres -A trust -E UTF8 --no-locale --no-sync")
	s.start()
}

// start serves the cluster as a primary.
func (s *server) start() {
	s.t.Helper()
	s.serve(false)
}

// serve starts the server, which archives its log, and waits until it answers as what it is.
func (s *server) serve(standby bool) {
	s.t.Helper()
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	require.NoError(s.t, err)
	s.cmd = s.program("postgres", "-D", s.data(), "-p", strconv.Itoa(s.port), "-k", s.dir,
		"-c", "listen_addresses=127.0.0.1", "-c", "max_connections=200", "-c", "archive_mode=on", "-c", "archive_command=cp %p ../archive/%f.part && mv ../archive/%f.part ../archive/%f")
	s.cmd.Stdout, s.cmd.Stderr = log, log
	require.NoError(s.t, s.cmd.Start())
	require.NoError(s.t, log.Close())
	begun := time.Now()
	want := map[bool]string{true: "t\n", false: "f\n"}[standby]
	for printed := ""; printed != want; printed, _ = try(s.dir, s.env(), "psql -Atc 'SELECT pg_is_in_recovery()'") {
		require.Less(s.t, time.Since(begun), patience, "the server does not start: %s\n%s", printed, read(s.t, filepath.Join(s.dir, "log")))
		time.Sleep(50 * time.Millisecond)
	}
}

// destroy takes the server away with all that it holds.
func (s *server) destroy() {
	s.t.Helper()
	require.NoError(s.t, s.cmd.Process.Signal(syscall.SIGQUIT)) // at once, as a crash does
	_ = s.cmd.Wait()                                            // how it ends does not matter
	require.NoError(s.t, os.RemoveAll(s.data()))
}

func (s *server) data() string { return filepath.Join(s.dir, "data") }

// program runs as the user that PostgreSQL demands: not root.
func (s *server) program(name string, args ...string) *exec.Cmd {
	if !filepath.IsAbs(name) {
		name = filepath.Join(s.bin, name)
	}
	command := exec.Command(name, args...)
	command.Dir, command.SysProcAttr = s.dir, &syscall.SysProcAttr{Setpgid: true}
	if os.Getuid() == 0 {
		uid, gid := s.user()
		command.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	return command
}

func (s *server) user() (uid, gid int) {
	found, err := user.Lookup("postgres")
	require.NoError(s.t, err, "PostgreSQL refuses to run as root")
	uid, err = strconv.Atoi(found.Uid)
	require.NoError(s.t, err)
	gid, err = strconv.Atoi(found.Gid)
	require.NoError(s.t, err)
	return uid, gid
}

// url of the database as a role.
func (s *server) url(role string) string {
	return fmt.Sprintf("postgres://%s@127.0.0.1:%d/agentidp?sslmode=disable", role, s.port)
}

// env leads psql, createdb and the like there, as the superuser.
func (s *server) env() []string {
	return []string{"PATH=" + s.path(), "PGHOST=127.0.0.1", "PGPORT=" + strconv.Itoa(s.port), "PGUSER=postgres", "PGSSLMODE=disable"}
}

// sh runs commands on its machine, as its user.
func (s *server) sh(commands string, env ...string) {
	s.t.Helper()
	command := s.program("/bin/sh", "-euc", commands)
	command.Env = append(s.env(), env...)
	output, err := command.CombinedOutput()
	require.NoError(s.t, err, "%s\n%s", commands, output)
}

// sql runs statements as the superuser.
func (s *server) sql(statements string) {
	s.t.Helper()
	sh(s.t, s.dir, s.env(), "psql -q -v ON_ERROR_STOP=1 <<'SQL'\n"+statements+"SQL")
}

// path finds the server's programs before others, such as Debian's wrappers of them.
func (s *server) path() string { return s.bin + ":" + os.Getenv("PATH") }
