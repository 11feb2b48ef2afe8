// Up runs the development stack on its fixed addresses until Ctrl-C and keeps
// its data in ./data between runs.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/sentryagent/agentidp/deploy/dev/stack"
)

func main() {
	dir := flag.String("dir", "data", "folder of all data")
	bin := flag.String("bin", "bin", "folder of the built programs")
	routes := flag.String("routes", "deploy/dev/routes.yaml", "the sidecar's route file")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout, *dir, *bin, *routes); err != nil {
		fmt.Fprintln(os.Stderr, "up:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, dir, bin, routes string) error {
	s := &stack.Stack{Addresses: stack.Fixed, Bin: bin, Dir: dir, Routes: routes}
	first := true
	if _, err := os.Stat(s.AdminFile()); err == nil {
		first = false
	}
	if err := s.Start(ctx); err != nil {
		return fmt.Errorf("%w (logs: %s)", err, filepath.Join(dir, "*.log"))
	}
	welcome(out, s, first)
	err := s.Ended(ctx)
	fmt.Fprintln(out, "\nstopping")
	err = errors.Join(err, s.Close())
	if err == nil {
		fmt.Fprintf(out, "stopped; the data is kept in %s\n", dir)
	}
	return err
}

func welcome(out io.Writer, s *stack.Stack, first bool) {
	age := "with the data of the last run"
	if first {
		age = "for the first time"
	}
	fmt.Fprintf(out, `AgentIdP is up, %[1]s.

  IdP          %[2]s   (health: %[2]s/health, keys: %[2]s/.well-known/jwks.json)
  dashboard    %[2]s/dashboard   (the API, to try it on: %[2]s/api-docs)
  notes API    %[3]s   through the sidecar; its own address is nobody's business
  metrics      %[2]s/metrics (IdP), http://%[4]s/metrics (sidecar)
  logs         %[5]s
  administrator's credential: %[6]s

Try it, from this folder in another shell:

  TOKEN=$(curl -s -K %[7]s -d grant_type=client_credentials -d resource=%[3]s %[2]s/api/v1/token | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
  curl -i -H "Authorization: Bearer $TOKEN" %[3]s/notes
  curl -i -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d '{"text":"hello"}' %[3]s/notes

The first call is allowed, the second is not: %[7]s is the credential of an agent that holds notes:read only.

Manage it, in the dashboard or with the command line:

  %[8]s login --url %[2]s --credential-file %[6]s
  %[8]s --help

Ctrl-C ends everything.
`, age, s.Issuer(), s.Resource(), s.SidecarAdmin, filepath.Join(s.Dir, "*.log"), s.AdminFile(), s.DemoFile(), filepath.Join(s.Bin, "agentidp"))
}
