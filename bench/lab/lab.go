// Package lab runs what is measured: the product's programs and what stands
// before, beside and behind them, each a process on the cores given to it.
package lab

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/sentryagent/agentidp/deploy/dev/stack"
)

// Options say what the laboratory is made of.
type Options struct {
	Bin     string // folder of the built programs
	Signer  string // "go", "batch", or what the IdP's build is called: agentidp-SIGNER
	Routes  string // the sidecar's route file
	Store   string // SQLite or PostgreSQL
	Server  string // URL of a PostgreSQL server whose role may create databases; "": one of our own
	Redis   bool   // replicas share through a Redis of our own
	Against string // folder of another build of the sidecar, to run beside ours; "": none
}

// The stores.
const (
	SQLite     = "sqlite"
	PostgreSQL = "postgres"
)

// Capability is what the reader may do, and what the API behind the sidecar asks for.
const Capability = "notes:read"

// Lab is the running laboratory. Its methods are not safe for concurrent use.
type Lab struct {
	*stack.Stack // the IdP and the sidecar
	Options      Options

	Servers, Others   []int // cores of what is measured, and of everything else
	APIAddr, BareAddr string
	Admin             *stack.Client
	Reader            stack.Registered // may read notes
	Pepper            string           // of client secrets: version:base64
	DatabaseURL       string           // of the IdP; "": SQLite

	root      string
	focus     Program
	api, bare *exec.Cmd
	other     *stack.Stack // with the sidecar of another build, at the same IdP; nil: none
	postgres  *postgres
	redis     *redis
	spares    []*stack.Stack
	made      int // folders and databases
}

// Open starts everything. IdP and sidecar are both ready, the IdP measured.
func Open(ctx context.Context, o Options) (_ *Lab, err error) {
	if o.Store != SQLite && o.Store != PostgreSQL {
		return nil, fmt.Errorf("store %q: %s or %s", o.Store, SQLite, PostgreSQL)
	}
	l := &Lab{Options: o, Pepper: pepper()}
	if l.root, err = os.MkdirTemp("", "agentidp-bench-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.Close())
		}
	}()
	if err := l.stage(); err != nil {
		return nil, err
	}
	l.Servers, l.Others = Split()
	if err := bindSelf(l.Others); err != nil {
		return nil, err
	}
	if err := l.startStores(ctx); err != nil {
		return nil, err
	}
	if l.Stack, err = l.newStack(ctx, "main", "bin"); err != nil {
		return nil, err
	}
	if err := l.startAPI(); err != nil {
		return nil, err
	}
	return l, l.boot(ctx)
}

func pepper() string {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return "1:" + base64.StdEncoding.EncodeToString(key)
}

func (l *Lab) startStores(ctx context.Context) (err error) {
	if l.Options.Store == PostgreSQL {
		if l.postgres, err = openPostgres(ctx, l.Options.Server, l.Others); err != nil {
			return err
		}
	}
	if l.Options.Redis {
		l.redis, err = startRedis(ctx, l.root, l.Others)
	}
	return err
}

// newStack is a stack on empty data, prepared and not started. bin is the
// staged folder of its programs.
func (l *Lab) newStack(ctx context.Context, name, bin string, env ...string) (*stack.Stack, error) {
	addresses, err := stack.Free()
	if err != nil {
		return nil, err
	}
	l.made++
	s := &stack.Stack{
		Addresses: addresses, Bin: filepath.Join(l.root, bin), Dir: filepath.Join(l.root, name+strconv.Itoa(l.made)), Routes: l.Options.Routes,
		IdPEnv: append([]string{"AGENTIDP_LIMITS_AGENTS=0", "AGENTIDP_LIMITS_REQUESTS_PER_MINUTE=0", "AGENTIDP_LIMITS_TOKENS_PER_MONTH=0", "AGENTIDP_PEPPER=" + l.Pepper, l.Options.signerEnv()}, env...),
	}
	if l.APIAddr != "" {
		s.Upstream = "http://" + l.APIAddr
	}
	url, err := l.NewDatabase(ctx)
	if err != nil {
		return nil, err
	}
	if url != "" {
		key := make([]byte, 32)
		_, _ = rand.Read(key) // never fails
		s.IdPEnv = append(s.IdPEnv, "DATABASE_URL="+url, "AGENTIDP_MASTER_KEY="+hex.EncodeToString(key))
	}
	if l.redis != nil {
		s.IdPEnv = append(s.IdPEnv, "REDIS_URL="+l.redis.url)
	}
	if name == "main" {
		l.DatabaseURL = url
	}
	return s, s.Prepare()
}

// NewDatabase makes an empty database; "" with SQLite.
func (l *Lab) NewDatabase(ctx context.Context) (url string, err error) {
	if l.postgres == nil {
		return "", nil
	}
	return l.postgres.database(ctx)
}

// Folder is an empty folder that goes with the laboratory.
func (l *Lab) Folder() (string, error) {
	l.made++
	path := filepath.Join(l.root, "folder"+strconv.Itoa(l.made))
	return path, os.Mkdir(path, 0o700)
}

func (l *Lab) startAPI() (err error) {
	addresses, err := stack.Free()
	if err != nil {
		return err
	}
	l.APIAddr, l.BareAddr = addresses.Notes, addresses.Sidecar
	l.Stack.Upstream = "http://" + l.APIAddr
	if l.api, err = l.startHop(l.Others, "api", l.APIAddr); err != nil {
		return err
	}
	return l.startBare()
}

func (l *Lab) startBare() (err error) {
	l.bare, err = l.startHop(l.Servers, "bare", l.BareAddr, l.APIAddr)
	return err
}

// APIPID is the process behind the proxies.
func (l *Lab) APIPID() int { return l.api.Process.Pid }

// BarePID is the bare proxy's process, which Refresh changes.
func (l *Lab) BarePID() int { return l.bare.Process.Pid }

// Other is the stack whose sidecar is of another build, beside ours while that
// is measured; nil without Options.Against.
func (l *Lab) Other() *stack.Stack { return l.other }

// boot starts IdP and sidecar and registers whom the scenarios use.
func (l *Lab) boot(ctx context.Context) error {
	if err := On(l.Servers, func() error { return l.StartIdP(ctx) }); err != nil {
		return err
	}
	if err := l.Enrol(ctx); err != nil {
		return err
	}
	credential, err := l.Administrator()
	if err != nil {
		return err
	}
	if l.Admin, err = l.Client(ctx, credential); err != nil {
		return err
	}
	l.Reader, err = l.Admin.Register(ctx, stack.Registration{Email: "bench@example.com", AgentType: "custom", Capabilities: []string{Capability}})
	if err != nil {
		return err
	}
	l.focus = IdP
	return On(l.Others, func() error { return l.StartSidecar(ctx) })
}

// Close ends everything and removes its data.
func (l *Lab) Close() error {
	var errs []error
	for _, s := range append(l.spares, l.other, l.Stack) {
		if s != nil {
			errs = append(errs, s.Close())
		}
	}
	errs = append(errs, kill(l.bare), kill(l.api))
	if l.redis != nil {
		errs = append(errs, l.redis.close())
	}
	if l.postgres != nil {
		errs = append(errs, l.postgres.close())
	}
	return errors.Join(append(errs, os.RemoveAll(l.root))...)
}
