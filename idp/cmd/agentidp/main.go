// Agentidp is the identity provider and its command line.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/sentryagent/agentidp/idp/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := cli.Run(ctx, cli.Process{Args: os.Args[1:], Environ: os.Environ(), Stdout: os.Stdout, Stderr: os.Stderr})
	stop()
	os.Exit(status)
}
