// Events fills the audit log of a served IdP with decisions, as a sidecar would
// ship them, and measures what depends on the log's length: lists, issuance,
// start, verification, memory. It needs about 1 GB of disk for each million.
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

	"github.com/sentryagent/agentidp/deploy/dev/stack"
)

func main() {
	bin := flag.String("bin", "../bin", "folder of the built programs")
	events := flag.Int64("events", 10_000_000, "decisions to ship")
	slice := flag.Duration("slice", 10*time.Second, "length of one measurement")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, *bin, *events, *slice)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "events:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, bin string, events int64, slice time.Duration) (err error) {
	dir, err := os.MkdirTemp("", "agentidp-events-")
	if err != nil {
		return err
	}
	addresses, err := stack.Free()
	if err != nil {
		return err
	}
	s := &stack.Stack{Addresses: addresses, Bin: bin, Dir: dir, IdPEnv: []string{
		"AGENTIDP_LIMITS_REQUESTS_PER_MINUTE=0", "AGENTIDP_LIMITS_TOKENS_PER_MONTH=0",
	}}
	defer func() { err = errors.Join(err, s.Close(), os.RemoveAll(dir)) }()
	if err := errors.Join(s.Prepare(), s.StartIdP(ctx)); err != nil {
		return err
	}
	if err := ship(ctx, s, events); err != nil {
		return err
	}
	if err := measure(ctx, s, slice); err != nil {
		return err
	}
	return offline(ctx, s)
}

// offline measures what happens without the running program: its end, the
// verification of the whole log, its next start.
func offline(ctx context.Context, s *stack.Stack) error {
	for _, step := range []struct {
		name string
		run  func() error
	}{
		{"stop", s.StopIdP},
		{"verify", func() error { return verify(ctx, s) }},
		{"start", func() error { return s.StartIdP(ctx) }},
	} {
		began := time.Now()
		if err := step.run(); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		fmt.Printf("%-8s %s\n", step.name, time.Since(began).Round(time.Millisecond))
	}
	return size(s.IdPDir())
}

func verify(ctx context.Context, s *stack.Stack) error {
	command := exec.CommandContext(ctx, filepath.Join(s.Bin, "agentidp"), "audit", "verify", "--offline", "--data-dir", s.IdPDir())
	output, err := command.CombinedOutput()
	fmt.Println(strings.TrimSpace(string(output)))
	return err
}

// size prints what the data folder takes.
func size(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var bytes int64
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			return err
		}
		bytes += info.Size()
	}
	fmt.Printf("disk     %d MiB\n", bytes>>20)
	return nil
}
