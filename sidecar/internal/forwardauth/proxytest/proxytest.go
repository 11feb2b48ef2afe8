// Package proxytest starts the real proxies that ask a sidecar by forward-auth,
// with the configurations of deploy/forward-auth, for tests.
package proxytest

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/command/commandtest"
)

// patience bounds the start of a server, and its end.
const patience = time.Minute

// The addresses in the example configurations.
const (
	exampleListen = "127.0.0.1:8000"
	exampleAPI    = "127.0.0.1:8090"
	exampleAuth   = "127.0.0.1:8084"
)

// Nginx starts nginx in front of the API at upstreamURL, asking the sidecar's
// forward-auth listener at authURL; both are http://host:port. It answers the
// host:port where it listens, and ends with the test.
func Nginx(t testing.TB, upstreamURL, authURL string) (address string) {
	t.Helper()
	return start(t, "nginx", func(listen, dir string) *exec.Cmd {
		site := example(t, "nginx.conf", exampleListen, listen, exampleAPI, host(t, upstreamURL), exampleAuth, host(t, authURL))
		write(t, dir, "site.conf", site)
		config := "daemon off; master_process off; pid pid; error_log stderr info;\nevents { worker_connections 512; }\nhttp {\naccess_log off;\n"
		for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
			config += kind + "_temp_path " + kind + ";\n"
		}
		config = write(t, dir, "nginx.conf", config+"include site.conf;\n}\n")
		return exec.Command(find(t, "nginx"), "-p", dir, "-c", config, "-e", "stderr") //nolint:gosec,noctx // the test's own files; it is ended by a signal
	})
}

// Caddy is Nginx with Caddy.
func Caddy(t testing.TB, upstreamURL, authURL string) (address string) {
	t.Helper()
	return start(t, "caddy", func(listen, dir string) *exec.Cmd {
		_, port, err := net.SplitHostPort(listen)
		require.NoError(t, err)
		site := example(t, "Caddyfile", ":8000 {", ":"+port+" {", exampleAPI, host(t, upstreamURL), exampleAuth, host(t, authURL))
		config := write(t, dir, "Caddyfile", "{\n\tadmin off\n\tauto_https off\n}\n"+site)
		cmd := exec.Command(find(t, "caddy"), "run", "--adapter", "caddyfile", "--config", config) //nolint:gosec,noctx // the test's own files; it is ended by a signal
		cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
		return cmd
	})
}

// start runs a server on a free port until it accepts connections. Somebody may
// take the port first: then it is another one's turn.
func start(t testing.TB, program string, command func(listen, dir string) *exec.Cmd) string {
	t.Helper()
	var output string
	for range 3 {
		dir, listen := t.TempDir(), freeAddress(t)
		s := &server{cmd: command(listen, dir), ended: make(chan struct{})}
		s.cmd.Dir, s.cmd.Stdout, s.cmd.Stderr = dir, &s.output, &s.output
		require.NoError(t, s.cmd.Start())
		t.Cleanup(s.stop)
		go func() {
			_ = s.cmd.Wait() // how it ended shows in the output
			close(s.ended)
		}()
		if s.accepts(t.Context(), listen) {
			return listen
		}
		s.stop()
		output = s.output.String()
	}
	require.FailNow(t, "never served", "%s: %s", program, output)
	return ""
}

// find looks a program up, also where an ordinary user's PATH does not.
func find(t testing.TB, program string) string {
	t.Helper()
	if path, err := exec.LookPath(program); err == nil {
		return path
	}
	path := "/usr/sbin/" + program
	require.FileExists(t, path, "%s is missing: .ci/servers installs it (Debian: apt-get install nginx caddy)", program)
	return path
}

// server is a running program.
type server struct {
	cmd    *exec.Cmd
	ended  chan struct{}
	output buffer
}

// accepts waits until the address takes connections; false when the program
// ended, or never does.
func (s *server) accepts(ctx context.Context, address string) bool {
	dialer := &net.Dialer{Timeout: time.Second}
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		select {
		case <-s.ended:
			return false
		default:
		}
		if conn, err := dialer.DialContext(ctx, "tcp", address); err == nil {
			return conn.Close() == nil
		}
	}
	return false
}

func (s *server) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
	select {
	case <-s.ended:
	case <-time.After(patience):
		_ = s.cmd.Process.Kill()
		<-s.ended
	}
}

// buffer is output that may be read while it is written.
type buffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func freeAddress(t testing.TB) string {
	t.Helper()
	return fmt.Sprintf("127.0.0.1:%d", commandtest.FreePort(t, 10_000))
}

func host(t testing.TB, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	require.NoError(t, err)
	require.Equal(t, "http", u.Scheme, address)
	return u.Host
}

func write(t testing.TB, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// example reads a file of deploy/forward-auth with some addresses replaced,
// each of which must stand there exactly once.
func example(t testing.TB, name string, pairs ...string) string {
	t.Helper()
	dir, err := os.Getwd()
	require.NoError(t, err)
	for !exists(filepath.Join(dir, "go.mod")) {
		require.NotEqual(t, "/", dir, "not inside of the module")
		dir = filepath.Dir(dir)
	}
	content, err := os.ReadFile(filepath.Join(dir, "deploy", "forward-auth", name))
	require.NoError(t, err)
	for i := 0; i < len(pairs); i += 2 {
		require.Equal(t, 1, strings.Count(string(content), pairs[i]), "%s in %s", pairs[i], name)
	}
	return strings.NewReplacer(pairs...).Replace(string(content))
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
