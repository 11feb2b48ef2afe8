// Demo plays the whole story on free ports in a temporary folder. It exits 0
// when every step passed.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/sentryagent/agentidp/deploy/dev/stack"
	"github.com/sentryagent/agentidp/deploy/dev/story"
)

func main() {
	bin := flag.String("bin", "bin", "folder of the built programs")
	routes := flag.String("routes", "deploy/dev/routes.yaml", "the sidecar's route file")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	failed, err := run(ctx, *bin, *routes)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
	}
	if err != nil || failed > 0 {
		os.Exit(1)
	}
}

func run(ctx context.Context, bin, routes string) (failed int, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	addresses, err := stack.Free()
	if err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp("", "agentidp-demo-")
	if err != nil {
		return 0, err
	}
	s := &stack.Stack{Addresses: addresses, Bin: bin, Dir: dir, Routes: routes, IdPEnv: story.IdPEnv}
	number := 0
	passed, failed := story.Play(ctx, s, func(r story.Result) {
		number++
		mark := "ok    "
		if r.Err != nil {
			mark = "FAILED"
		}
		fmt.Printf("%2d %s %s (%s)\n", number, mark, r.Title, r.Took.Round(time.Millisecond))
		if r.Err != nil {
			fmt.Printf("          %v\n", r.Err)
		} else if r.Detail != "" {
			fmt.Printf("          %s\n", r.Detail)
		}
	})
	fmt.Printf("demo: %d passed, %d failed\n", passed, failed)
	if failed > 0 {
		fmt.Printf("data and logs are kept in %s\n", filepath.Clean(dir))
		return failed, nil
	}
	return 0, os.RemoveAll(dir)
}
