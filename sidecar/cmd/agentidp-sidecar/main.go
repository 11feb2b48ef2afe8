// Agentidp-sidecar is the reverse proxy in front of a protected API.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/sentryagent/agentidp/sidecar/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := cli.Run(ctx, cli.Process{Args: os.Args[1:], Environ: os.Environ(), Stdout: os.Stdout, Stderr: os.Stderr})
	stop()
	os.Exit(status)
}
