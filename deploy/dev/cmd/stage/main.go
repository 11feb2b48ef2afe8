// Stage runs the development stack on free ports in a temporary folder, for
// tests in other languages. It writes one line of JSON that says where
// everything is, then does what each line of its input says (stop-idp,
// start-idp) and answers each with a line: ok, or what went wrong. The end of
// the input ends it.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/sentryagent/agentidp/deploy/dev/stack"
)

func main() {
	bin := flag.String("bin", "bin", "folder of the built programs")
	routes := flag.String("routes", "deploy/dev/routes.yaml", "the sidecar's route file")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Stdin, os.Stdout, *bin, *routes)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "stage:", err)
		os.Exit(1)
	}
}

// place is the line of JSON.
type place struct {
	IdP       string           `json:"idp"`
	Sidecar   string           `json:"sidecar"`
	Resource  string           `json:"resource"`
	Dir       string           `json:"dir"`
	AdminFile string           `json:"adminFile"`
	Admin     stack.Credential `json:"admin"`
}

func run(ctx context.Context, in io.Reader, out io.Writer, bin, routes string) (err error) {
	addresses, err := stack.Free()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "agentidp-stage-")
	if err != nil {
		return err
	}
	s := &stack.Stack{Addresses: addresses, Bin: bin, Dir: dir, Routes: routes, IdPEnv: []string{"AGENTIDP_LIMITS_REQUESTS_PER_MINUTE=0"}}
	if err := s.Start(ctx); err != nil {
		return fmt.Errorf("%w (logs in %s)", err, dir)
	}
	defer func() { err = errors.Join(err, s.Close(), os.RemoveAll(dir)) }()
	admin, err := s.Administrator()
	if err != nil {
		return err
	}
	at := place{IdP: s.Issuer(), Sidecar: "http://" + s.Sidecar, Resource: s.Resource(), Dir: dir, AdminFile: s.AdminFile(), Admin: admin}
	if err := json.NewEncoder(out).Encode(at); err != nil {
		return err
	}
	for lines := read(in); ; {
		select {
		case line, more := <-lines:
			if !more {
				return nil
			}
			fmt.Fprintln(out, answer(do(ctx, s, line)))
		case <-ctx.Done():
			return nil
		}
	}
}

// read hands on the lines of the input; the reader lives as long as the program.
func read(in io.Reader) <-chan string {
	lines := make(chan string)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(in); scanner.Scan(); {
			lines <- scanner.Text()
		}
	}()
	return lines
}

func do(ctx context.Context, s *stack.Stack, command string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	switch command {
	case "stop-idp":
		return s.StopIdP()
	case "start-idp":
		return s.StartIdP(ctx)
	}
	return fmt.Errorf("unknown command %q", command)
}

func answer(err error) string {
	if err != nil {
		return err.Error()
	}
	return "ok"
}
