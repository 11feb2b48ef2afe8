// Load measures any deployment over HTTP, ours or another's, in a closed or an
// open loop, and compares results.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/sentryagent/agentidp/bench/compare"
	"github.com/sentryagent/agentidp/bench/report"
)

// Exit statuses.
const (
	succeeded = 0
	failed    = 1 // it could not be measured, or too much went wrong
	misused   = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

const usage = `Measures a server over HTTP.

  load token      -url URL -client ID:SECRET | -clients FILE   client credentials at a token endpoint
  load introspect -url URL -tokens FILE -client ID:SECRET      introspection (RFC 7662); or -bearer TOKEN
  load jwks       -url URL                                     a key set, asked for with its ETag; -etag=false: without
  load get        -url URL [-token TOKEN | -tokens FILE]       any GET, through a sidecar or not
  load compare    OLD.json NEW.json                            two results, of bench or of load -json
  load report     -o PAGE.html FILE.json                       a result as a page, or as pictures

Closed loop (as fast as it goes, for throughput):

  load token -url https://idp.example.com/api/v1/token -clients clients.txt -connections 64 -duration 30s

Open loop (a fixed rate whatever becomes of the requests before, for latency):

  load get -url https://api.example.com/notes -tokens tokens.txt -rate 2000

FILE has one id:secret, or one token, a line; "-" is standard input, which keeps secrets
out of the process list. Exit status: 0; 1 when it could not be measured or more than
-max-errors of the requests failed; 2 for wrong flags. "load COMMAND -help" lists the flags.
`

var errHelp = errors.New("help")

// misuse is an error of whoever typed.
type misuse struct{ error }

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(stderr, usage)
		return misused
	}
	if args[0] == "help" || args[0] == "-h" || args[0] == "-help" || args[0] == "--help" {
		fmt.Fprint(stdout, usage)
		return succeeded
	}
	err := command(ctx, args[0], args[1:], stdin, stdout)
	var wrong misuse
	switch {
	case err == nil, errors.Is(err, errHelp):
		return succeeded
	case errors.As(err, &wrong):
		fmt.Fprintf(stderr, "load: %v (load %s -help)\n", err, args[0])
		return misused
	default:
		fmt.Fprintf(stderr, "load: %v\n", err)
		return failed
	}
}

func command(ctx context.Context, name string, args []string, stdin io.Reader, stdout io.Writer) error {
	if name == "report" {
		return report.Command(args, stdout)
	}
	if name == "compare" {
		return compare.Command(args, stdout)
	}
	kind, known := kinds[name]
	if !known {
		return misuse{fmt.Errorf("there is no command %q", name)}
	}
	s := settings{name: name, stdin: stdin}
	flags := flag.NewFlagSet("load "+name, flag.ContinueOnError)
	flags.SetOutput(io.Discard) // errors are said once, by run
	s.common(flags)
	kind.flags(&s, flags)
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprintf(stdout, "load %s: %s\n\n", name, kind.about)
			flags.SetOutput(stdout)
			flags.PrintDefaults()
			return errHelp
		}
		return misuse{err}
	}
	if flags.NArg() > 0 {
		return misuse{fmt.Errorf("what is %q? Everything is a flag", flags.Arg(0))}
	}
	scenario, err := s.scenario(kind)
	if err != nil {
		return err
	}
	return s.measure(ctx, scenario, stdout)
}
