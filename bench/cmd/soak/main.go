// Soak keeps the built programs under a steady load for a long time and holds
// them to the release gates: errors, p99, growth of memory.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/sentryagent/agentidp/deploy/dev/stack"
)

func main() {
	bin := flag.String("bin", "../bin", "folder of the built programs")
	routes := flag.String("routes", "../deploy/dev/routes.yaml", "the sidecar's route file")
	duration := flag.Duration("duration", 30*time.Minute, "how long")
	every := flag.Duration("every", 30*time.Second, "between two lines of progress")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, *bin, *routes, *duration, *every)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, bin, routes string, duration, every time.Duration) (err error) {
	dir, err := os.MkdirTemp("", "agentidp-soak-")
	if err != nil {
		return err
	}
	addresses, err := stack.Free()
	if err != nil {
		return err
	}
	s := &soak{Stack: &stack.Stack{Addresses: addresses, Bin: bin, Dir: dir, Routes: routes, IdPEnv: []string{
		"AGENTIDP_LIMITS_REQUESTS_PER_MINUTE=0", "AGENTIDP_LIMITS_TOKENS_PER_MONTH=0",
	}}}
	defer func() { err = errors.Join(err, s.Close(), os.RemoveAll(dir)) }()
	if err := s.Start(ctx); err != nil {
		return err
	}
	if err := s.register(ctx); err != nil {
		return err
	}
	for began := time.Now(); ctx.Err() == nil && time.Since(began) < duration; {
		if err := s.round(ctx, min(every, duration-time.Since(began))); err != nil {
			return err
		}
		fmt.Printf("%8s  %s\n", time.Since(began).Round(time.Second), s.progress())
	}
	return s.judge()
}
