// Package rival runs other products for comparison with ours: each as its own
// process, set up for the one job that the benchmark measures.
//
// A process runs on the cores of the thread that calls Start: bind that, and
// the rival is bound.
package rival

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/sentryagent/agentidp/bench/result"
)

// Kind is a product in one setup; it is the subject of the rows.
type Kind string

// The kinds.
const (
	HAProxy      Kind = "haproxy"       // a plain proxy
	HAProxyJWT   Kind = "haproxy-jwt"   // a proxy that verifies bearer tokens
	Nginx        Kind = "nginx"         // a plain proxy
	OIDCProvider Kind = "oidc-provider" // an issuer
)

// Options of a rival. What a kind does not use may be zero.
type Options struct {
	Cores    int    // how many threads may work, at least 1; oidc-provider has one in any case
	Upstream string // host:port that a proxy passes requests on to

	// HAProxyJWT: whose tokens it lets through.
	Key      *rsa.PublicKey
	Issuer   string
	Audience string

	// Modules is the folder where bench/rival/install put oidc-provider; "" is its default place.
	Modules string
}

// Rival is a running one.
type Rival struct {
	Kind Kind
	Addr string // host:port
	PID  int    // of the process that was started; PIDs has all that work

	clientID, clientSecret string // OIDCProvider's only client

	cmd   *exec.Cmd
	dir   string
	ended chan struct{} // closed when the process has ended; err is set then
	err   error
}

// URL is where it listens, without a path.
func (r *Rival) URL() string { return "http://" + r.Addr }

// ErrMissing says that a program that the rival needs is not on this machine.
var ErrMissing = errors.New("not installed")

const (
	readyWithin = time.Minute
	stopWithin  = 30 * time.Second
)

// start prepares the configuration in its folder and returns the command.
type start func(r *Rival, o Options) (*exec.Cmd, error)

var starts = map[Kind]start{HAProxy: haproxy, HAProxyJWT: haproxy, Nginx: nginx, OIDCProvider: oidcProvider}

// Start runs a rival and waits until it answers. The error of a machine that
// lacks the program is an ErrMissing; any other shows the end of the rival's output.
func Start(ctx context.Context, kind Kind, o Options) (*Rival, error) {
	prepare, known := starts[kind]
	if !known || o.Cores < 1 {
		return nil, fmt.Errorf("rival %q on %d cores: there is no such thing", kind, o.Cores)
	}
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "agentidp-rival-")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", kind, err)
	}
	r := &Rival{Kind: kind, Addr: addr, dir: dir, ended: make(chan struct{})}
	if r.cmd, err = prepare(r, o); err == nil {
		err = r.run(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w%s", kind, err, r.output()), r.Close())
	}
	return r, nil
}

func (r *Rival) logFile() string { return filepath.Join(r.dir, "output.log") }

// run starts the process on the cores of this very thread.
func (r *Rival) run(ctx context.Context) error {
	log, err := os.Create(r.logFile())
	if err != nil {
		return err
	}
	defer log.Close() // the process has its own
	r.cmd.Stdout, r.cmd.Stderr = log, log
	ownGroup(r.cmd)
	if err := r.cmd.Start(); err != nil {
		return err
	}
	r.PID = r.cmd.Process.Pid
	go func() {
		r.err = r.cmd.Wait()
		close(r.ended)
	}()
	return r.ready(ctx)
}

// output is the end of what the rival wrote.
func (r *Rival) output() string {
	const most = 2 << 10
	text, err := os.ReadFile(r.logFile())
	if err != nil || len(text) == 0 {
		return ""
	}
	return "\n" + strings.TrimSpace(string(text[max(0, len(text)-most):]))
}

// Close ends the rival and removes its files.
func (r *Rival) Close() error {
	var err error
	if r.PID != 0 {
		err = r.stop()
	}
	return errors.Join(err, os.RemoveAll(r.dir))
}

func (r *Rival) stop() error {
	if err := terminate(r.cmd); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", r.Kind, err)
	}
	select {
	case <-r.ended: // by a signal: its status says so
		return nil
	case <-time.After(stopWithin):
		err := r.cmd.Process.Kill()
		<-r.ended
		return err
	}
}

// program finds a program, also where Debian keeps those of an administrator.
func program(name string) (string, error) {
	for _, candidate := range []string{name, "/usr/sbin/" + name, "/usr/local/sbin/" + name} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is %w (bench/rival/install, as root)", name, ErrMissing)
}

func (r *Rival) write(name, content string) (path string, err error) {
	path = filepath.Join(r.dir, name)
	return path, os.WriteFile(path, []byte(content), 0o600)
}

func freeAddr() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("free port: %w", err)
	}
	defer listener.Close() // only the number matters
	return listener.Addr().String(), nil
}

// Unmeasured is the row of a rival that could not be measured: it says why, so
// that nobody reads the gap as a result.
func Unmeasured(scenario string, kind Kind, params map[string]float64, err error) result.Row {
	return result.Row{Scenario: scenario, Subject: string(kind), Params: params, Rounds: []result.Sample{}, Invalid: "not measured: " + err.Error()}
}
