// Soak keeps the built programs at a share of what they can do for a long time,
// turns keys, secrets, tokens, policy and routes over meanwhile, and wants no
// error and no growth.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const usage = `Finds out how many tokens and API calls a second the built programs manage together,
then holds a share of that at a fixed rate (an open loop: a stall is charged for every
request that it holds up), and beside the load goes on to

  rotate the signing key; rotate the client's secret with an overlap, and switch to it;
  revoke a token in use, which must be refused within a second;
  suspend a bystander, who must be refused within a second, and reactivate it;
  change routes and policies under SIGHUP, of both programs; collect garbage.

"make long-soak" builds the programs and runs it for half an hour. The exit status is 1
unless every gate holds: no error of any kind, whatever is going on (a 503 with
Retry-After is one); at most 0.1 % of the requests not sent in time; p99 of tokens within
100 ms and of calls within 200 ms; no decision lost; and, from the second third of the run
to the last, memory, file descriptors and goroutines of both programs flat. The data and
the logs of a run that failed stay, and the last line says where. Only on Linux.

  soak                                        half an hour
  soak -duration 3m -every 5s -rotate 40s -disturb 20s -json soak.json
  soak -load 0.5                              beside other work on the same machine

Each line: tokens and calls a second with their p99; then of the IdP and of the sidecar
resident memory, open file descriptors, goroutines; bytes in the sidecar's spool.

Flags:
`

type options struct {
	bin, routes, json        string
	duration, every          time.Duration
	calibrate                time.Duration
	share                    float64
	rotate, disturb, overlap time.Duration
}

func main() {
	o, err := parse(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err = run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

func parse(args []string) (o options, err error) {
	flags := flag.NewFlagSet("soak", flag.ExitOnError)
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), usage)
		flags.PrintDefaults()
	}
	flags.StringVar(&o.bin, "bin", "../bin", "folder of the built programs")
	flags.StringVar(&o.routes, "routes", "../deploy/dev/routes.yaml", "the sidecar's route file to begin with; it is not changed")
	flags.DurationVar(&o.duration, "duration", 30*time.Minute, "how long the load is held")
	flags.DurationVar(&o.every, "every", 30*time.Second, "between two lines")
	flags.Float64Var(&o.share, "load", 0.7, "share of the capacity that is held, above 0 and below 1")
	flags.DurationVar(&o.calibrate, "calibrate", 15*time.Second, "how long the capacity is measured, in a closed loop")
	flags.DurationVar(&o.rotate, "rotate", 5*time.Minute, "between two rotations of the signing key, at least 10s; the next key is published for a third of it before it signs")
	flags.DurationVar(&o.disturb, "disturb", time.Minute, "between two disturbances of every other kind")
	flags.StringVar(&o.json, "json", "", "file for the figures of every line, in the form of the benchmark's results; default: none")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	o.overlap = o.disturb / 2
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("what is %q? Everything is a flag", flags.Arg(0))
	case o.every < 2*settle:
		return o, fmt.Errorf("-every %s: at least %s", o.every, 2*settle)
	case o.duration < rounds*o.every:
		return o, fmt.Errorf("-duration %s is less than %d lines of %s: there is no third to compare", o.duration, rounds, o.every)
	case o.share <= 0 || o.share >= 1:
		return o, fmt.Errorf("-load %g: a share above 0 and below 1", o.share)
	case o.rotate < 10*time.Second || o.disturb < 10*time.Second || o.calibrate < time.Second:
		return o, errors.New("-rotate and -disturb take at least 10s, -calibrate 1s")
	}
	return o, nil
}

// run keeps the data of a run that failed, for its logs.
func run(ctx context.Context, o options) error {
	dir, err := os.MkdirTemp("", "agentidp-soak-")
	if err != nil {
		return err
	}
	if err := soak(ctx, o, dir); err != nil {
		return errors.Join(err, fmt.Errorf("data and logs are in %s", dir))
	}
	return os.RemoveAll(dir)
}

func soak(ctx context.Context, o options, dir string) (err error) {
	w, err := open(ctx, o, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	c, err := w.calibrate(ctx, o.calibrate)
	if err != nil {
		return err
	}
	fmt.Printf("capacity %.0f tokens/s beside %.0f calls/s; held for %s: %.0f and %.0f\n", c.tokens, c.calls, o.duration, c.tokens*o.share, c.calls*o.share)
	r, err := w.hold(ctx, o, capacity{tokens: c.tokens * o.share, calls: c.calls * o.share})
	if err != nil {
		return err
	}
	return r.end(ctx, o)
}
