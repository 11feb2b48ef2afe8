package lab

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

const serverStarts = 60 * time.Second

// postgres is a server, ours or given, and the databases that were made on it.
type postgres struct {
	url     string // of a database from which others are made
	made    []string
	folder  string    // of a server of ours
	command *exec.Cmd // nil: not ours
}

// openPostgres takes the server of that URL or, without one, starts a durable
// one of its own, on the cores.
func openPostgres(ctx context.Context, given string, cores []int) (*postgres, error) {
	if given != "" {
		return &postgres{url: given}, nil
	}
	binaries, err := findPostgres()
	if err != nil {
		return nil, err
	}
	p := &postgres{}
	if p.folder, err = os.MkdirTemp("", "agentidp-bench-postgres-"); err != nil {
		return nil, err
	}
	if err := p.start(ctx, binaries, cores); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

// findPostgres looks in PATH and where Debian keeps the programs.
func findPostgres() (folder string, err error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path), nil
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin") // the pattern is well-formed
	if len(found) == 0 {
		return "", errors.New("initdb and postgres not found: install them (apt-get install postgresql), or name a server by -database")
	}
	return slices.Max(found), nil
}

func (p *postgres) start(ctx context.Context, binaries string, cores []int) error {
	attributes, err := unprivileged(p.folder)
	if err != nil {
		return err
	}
	data := filepath.Join(p.folder, "data")
	initdb := exec.CommandContext(ctx, filepath.Join(binaries, "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")
	initdb.Dir, initdb.SysProcAttr = p.folder, attributes
	if output, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, output)
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	p.url = fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", port)
	p.command = exec.Command(filepath.Join(binaries, "postgres"), "-D", data, "-p", strconv.Itoa(port), "-k", p.folder,
		"-c", "listen_addresses=127.0.0.1", "-c", "max_connections=200", "-c", "shared_buffers=256MB", "-c", "logging_collector=off")
	p.command.Dir, p.command.SysProcAttr = p.folder, attributes
	if err := On(cores, p.command.Start); err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	return p.ready(ctx)
}

func (p *postgres) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, serverStarts)
	defer cancel()
	for {
		err := p.exec(ctx, "SELECT 1")
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("postgres is not ready: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (p *postgres) exec(ctx context.Context, statement string) error {
	conn, err := pgx.Connect(ctx, p.url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, statement)
	return err
}

// database makes an empty one.
func (p *postgres) database(ctx context.Context) (string, error) {
	name := fmt.Sprintf("agentidp_bench_%d_%d", os.Getpid(), len(p.made))
	if err := p.exec(ctx, "CREATE DATABASE "+name+" TEMPLATE template0"); err != nil {
		return "", fmt.Errorf("database %s: %w", name, err)
	}
	p.made = append(p.made, name)
	u, err := url.Parse(p.url)
	if err != nil {
		return "", errors.New("the URL of the PostgreSQL server is none")
	}
	u.Path = "/" + name
	return u.String(), nil
}

// close leaves nothing behind.
func (p *postgres) close() error {
	if p.command != nil {
		err := p.command.Process.Signal(syscall.SIGINT) // fast
		_ = p.command.Wait()                            // it was asked to
		return errors.Join(err, os.RemoveAll(p.folder))
	}
	var errs []error
	for _, name := range p.made {
		errs = append(errs, p.exec(context.Background(), "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)"))
	}
	if p.folder != "" {
		errs = append(errs, os.RemoveAll(p.folder))
	}
	return errors.Join(errs...)
}

// unprivileged is how a program runs that refuses to be root; the folder becomes its own.
func unprivileged(folder string) (*syscall.SysProcAttr, error) {
	attributes := &syscall.SysProcAttr{Setpgid: true}
	if os.Getuid() != 0 {
		return attributes, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		found, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(found.Uid, 10, 32)
		if err != nil {
			return nil, err
		}
		gid, err := strconv.ParseUint(found.Gid, 10, 32)
		if err != nil {
			return nil, err
		}
		attributes.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		return attributes, os.Chown(folder, int(uid), int(gid))
	}
	return nil, errors.New("PostgreSQL refuses to run as root, and there is no other user: " + strings.Join([]string{"postgres", "nobody"}, ", "))
}
