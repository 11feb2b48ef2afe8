//go:build images

package compose_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// path is an engine's default; where Debian's programs are stands behind it.
const path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

var postgres = func() string {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	return strings.Join(found, ":")
}()

type process struct {
	cmd   *exec.Cmd
	ended chan struct{}
	err   error // once ended
}

// command is one to run in the service's place: its namespace, root, user and environment.
func (w *world) command(ctx context.Context, name string, argv []string) (*exec.Cmd, error) {
	s := w.Project.Services[name]
	user, group, found := strings.Cut(s.User, ":")
	if !found {
		return nil, fmt.Errorf("%s: no user and group", name)
	}
	root := w.roots[name]
	cmd := exec.CommandContext(ctx, "nsenter", append([]string{"--net=/run/netns/" + name, "--root=" + root, "--wd=" + root, "--setgid", group, "--setuid", user, "--"}, argv...)...)
	variables := maps.Clone(w.Images[name].Environment)
	if variables == nil {
		variables = map[string]string{"PGDATA": "/var/lib/postgresql/data"}
	}
	maps.Copy(variables, s.Environment)
	cmd.Env = append([]string{"PATH=" + path + ":" + os.Getenv("PATH") + ":" + postgres}, environ(variables)...)
	return cmd, nil
}

// up starts the service after those it waits for, and waits until it is well or has ended as it should.
func (w *world) up(ctx context.Context, name string) error {
	if p := w.running[name]; p != nil {
		return nil
	}
	s := w.Project.Services[name]
	for _, needed := range slices.Sorted(maps.Keys(s.Needs)) {
		if w.Project.Services[needed] == nil { // of a profile that is left out
			continue
		}
		if err := w.up(ctx, needed); err != nil {
			return err
		}
	}
	if s.Image == "postgres:17" {
		if err := w.initialize(ctx, name); err != nil {
			return err
		}
	}
	argv := slices.Concat(or(s.Entrypoint, w.Images[name].Entrypoint), or(s.Command, w.Images[name].Command))
	if strings.HasPrefix(s.Image, "prom/prometheus") {
		argv = slices.Concat([]string{"prometheus"}, argv)
	}
	p, err := w.start(name, argv)
	if err != nil {
		return err
	}
	w.running[name] = p
	if !slices.ContainsFunc(slices.Collect(maps.Values(w.Project.Services)), func(other *service) bool {
		return other.Needs[name].Condition == "service_completed_successfully"
	}) {
		return w.healthy(ctx, name)
	}
	select {
	case <-p.ended:
	case <-ctx.Done():
		return fmt.Errorf("%s does not end: %w\n%s", name, ctx.Err(), w.logs())
	}
	if p.err != nil {
		return fmt.Errorf("%s: %w\n%s", name, p.err, w.logs())
	}
	return nil
}

func (w *world) start(name string, argv []string) (*process, error) {
	cmd, err := w.command(context.Background(), name, argv)
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(filepath.Join(w.dir, name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, log.Close())
	}
	p := &process{cmd: cmd, ended: make(chan struct{})}
	go func() {
		p.err = errors.Join(cmd.Wait(), log.Close())
		close(p.ended)
	}()
	return p, nil
}

// healthy runs the service's own health check until it passes.
func (w *world) healthy(ctx context.Context, name string) error {
	test := w.Images[name].Test
	if check := w.Project.Services[name].Check; check != nil {
		test = check.Test
	}
	if len(test) == 0 || test[0] != "CMD" {
		return fmt.Errorf("%s: no health check to run: %q", name, test)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		cmd, err := w.command(ctx, name, test[1:])
		if err != nil {
			return err
		}
		printed, err := cmd.CombinedOutput()
		if err == nil {
			return nil
		}
		select {
		case <-w.running[name].ended:
			return fmt.Errorf("%s ended: %w\n%s", name, w.running[name].err, w.logs())
		case <-ctx.Done():
			return fmt.Errorf("%s is not well: %s\n%s", name, printed, w.logs())
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (w *world) stop(names ...string) error {
	var errs []error
	for _, name := range names {
		p := w.running[name]
		if p == nil {
			continue
		}
		delete(w.running, name)
		errs = append(errs, p.cmd.Process.Signal(syscall.SIGTERM))
		select {
		case <-p.ended:
			// HAProxy's master says 143 for SIGTERM, as the engine sees it too.
			if exit := new(exec.ExitError); p.err != nil && !(errors.As(p.err, &exit) && exit.ExitCode() == 143) {
				errs = append(errs, fmt.Errorf("%s: %w", name, p.err))
			}
		case <-time.After(time.Minute):
			errs = append(errs, fmt.Errorf("%s did not end", name), p.cmd.Process.Kill())
		}
	}
	return errors.Join(errs...)
}

// initialize does what the entrypoint of PostgreSQL's image does on an empty volume.
func (w *world) initialize(ctx context.Context, name string) error {
	cmd, err := w.command(ctx, name, []string{"bash", "-ec", `
initdb -U postgres --auth-local=trust --auth-host=scram-sha-256 --pwfile=<(echo "$POSTGRES_PASSWORD") >/dev/null
echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
echo "listen_addresses = '*'" >>"$PGDATA/postgresql.conf"
pg_ctl -w -o "-c listen_addresses=''" -l /tmp/log start >/dev/null
for file in /docker-entrypoint-initdb.d/*; do psql -U postgres -q -v ON_ERROR_STOP=1 -f "$file"; done
pg_ctl -w stop >/dev/null`})
	if err != nil {
		return err
	}
	if printed, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initialize %s: %w: %s", name, err, printed)
	}
	return nil
}

func or(first, second []string) []string {
	if first != nil {
		return first
	}
	return second
}
