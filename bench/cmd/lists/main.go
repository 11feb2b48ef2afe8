// Lists measures what the dashboard asks first on an installation with many
// agents: pages of agents in each order and by each filter, the overview, usage,
// what a revocation would cut off. With -before it asks the same of an older
// build first, on the same data, so that the newer one's start migrates them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"github.com/sentryagent/agentidp/bench/lab"
	"github.com/sentryagent/agentidp/bench/seed"
	"github.com/sentryagent/agentidp/deploy/dev/stack"
)

type options struct {
	bin, before    string
	postgres       bool
	agents, events int64
	times          int
	dir            string
}

func main() {
	var o options
	flag.StringVar(&o.bin, "bin", "../bin", "folder of the built programs")
	flag.StringVar(&o.before, "before", "", "folder of an older build to measure first, on the same data")
	flag.BoolVar(&o.postgres, "postgres", false, "on PostgreSQL, on a server of its own, instead of SQLite")
	flag.Int64Var(&o.agents, "agents", 700_000, "agents of one organization")
	flag.Int64Var(&o.events, "events", 1_050_000, "events of the last day, of the same organization")
	flag.IntVar(&o.times, "times", 15, "how often each is asked")
	flag.StringVar(&o.dir, "dir", "", "folder for the data, which stay: what it has is not made again (SQLite)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "lists:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (err error) {
	dir := o.dir
	if dir == "" {
		if dir, err = os.MkdirTemp("", "agentidp-lists-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	_, absent := os.Stat(filepath.Join(dir, "stack", "idp", "agentidp.db"))
	env := []string{"AGENTIDP_LIMITS_REQUESTS_PER_MINUTE=0", "AGENTIDP_LIMITS_AUDIT_DAYS=0", "AGENTIDP_PEPPER=1:" + strings.Repeat("A", 43) + "="}
	if o.postgres {
		server, err := lab.OpenServer(ctx, "")
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, server.Close()) }()
		url, err := server.Database(ctx)
		if err != nil {
			return err
		}
		env = append(env, "DATABASE_URL="+url, "AGENTIDP_MASTER_KEY="+strings.Repeat("6c", 32))
	}
	builds := []string{o.bin}
	if o.before != "" {
		builds = []string{o.before, o.bin}
	}
	columns := make([]map[string]times, len(builds))
	for i, bin := range builds {
		if columns[i], err = measure(ctx, o, bin, dir, env, i == 0 && absent != nil); err != nil {
			return fmt.Errorf("%s: %w", bin, err)
		}
	}
	table(columns)
	return nil
}

// measure runs a build on the data, which it makes if they are new.
func measure(ctx context.Context, o options, bin, dir string, env []string, fresh bool) (found map[string]times, err error) {
	addresses, err := stack.Free()
	if err != nil {
		return nil, err
	}
	s := &stack.Stack{Addresses: addresses, Bin: bin, Dir: filepath.Join(dir, "stack"), IdPEnv: env}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := s.Prepare(); err != nil {
		return nil, err
	}
	if fresh {
		if err := errors.Join(s.StartIdP(ctx), s.StopIdP(), fill(ctx, o, s)); err != nil {
			return nil, err
		}
	}
	began := time.Now()
	migrate := exec.CommandContext(ctx, filepath.Join(bin, "agentidp"), "migrate", "up")
	migrate.Env = append(append(os.Environ(), "AGENTIDP_DATA_DIR="+s.IdPDir()), env...)
	if output, err := migrate.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("migrate: %w: %s", err, output)
	}
	fmt.Printf("%s: migrated in %s\n", bin, time.Since(began).Round(time.Millisecond))
	if err := s.StartIdP(ctx); err != nil {
		return nil, err
	}
	credential, err := s.Administrator()
	if err != nil {
		return nil, err
	}
	admin, err := s.Client(ctx, credential)
	if err != nil {
		return nil, err
	}
	asked, err := questions(ctx, admin)
	if err != nil {
		return nil, err
	}
	found = map[string]times{}
	for _, q := range asked {
		if found[q.name], err = ask(ctx, admin, q, o.times); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func fill(ctx context.Context, o options, s *stack.Stack) (err error) {
	store, err := seed.Open(ctx, seed.Address(s))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	now := time.Now()
	progress := func(done, of int64) { fmt.Fprintf(os.Stderr, "\r%d of %d ", done, of) }
	err = store.Agents(ctx, seed.Agents{
		Count: o.agents, Organization: seed.OrganizationAt(0), Capabilities: []string{"notes:read"}, Pepper: seed.Pepper(s), Now: now, Varied: true, Progress: progress,
	})
	if err != nil {
		return err
	}
	began := time.Now()
	err = store.Events(ctx, seed.Events{Count: o.events, Organizations: 1, First: now.AddDate(0, 0, -1), Last: now, Progress: progress})
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "\revents in %s\n", time.Since(began).Round(time.Second))
	return store.Count(ctx)
}

// times are the best and the median of a question's answers, and how many of
// them were refusals: a store gives up a statement that takes too long.
type times struct {
	best, p50 time.Duration
	refused   int
}

func table(columns []map[string]times) {
	fmt.Print("\n| asked |" + strings.Repeat(" best | p50, ms |", len(columns)) + "\n| --- |" + strings.Repeat(" --- | --- |", len(columns)) + "\n")
	for _, name := range order {
		fmt.Printf("| %s |", name)
		for _, found := range columns {
			one := found[name]
			fmt.Printf(" %.1f | %.1f", milliseconds(one.best), milliseconds(one.p50))
			if one.refused > 0 {
				fmt.Printf(" (%d answers 503)", one.refused)
			}
			fmt.Print(" |")
		}
		fmt.Println()
	}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
