// Bench starts the built programs on temporary data and measures them in one
// interleaved run, so that each ratio is between neighbours in time.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"
)

func main() {
	if len(os.Args) > 2 && os.Args[1] == "upstream" {
		exit(serveUpstream(os.Args[2]))
	}
	bin := flag.String("bin", "../bin", "folder of the built programs")
	routes := flag.String("routes", "../deploy/dev/routes.yaml", "the sidecar's route file")
	rounds := flag.Int("rounds", 5, "interleaved rounds of each scenario")
	slice := flag.Duration("slice", 2*time.Second, "length of one measurement")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, options{bin: *bin, routes: *routes, rounds: *rounds, slice: *slice})
	stop()
	exit(err)
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

type options struct {
	bin, routes string
	rounds      int
	slice       time.Duration
}

func run(ctx context.Context, o options) error {
	b, err := start(ctx, o)
	if err != nil {
		return err
	}
	for _, measure := range []func(context.Context) error{b.issuance, b.proxy, b.revocation, b.footprint} {
		if err := measure(ctx); err != nil {
			return errors.Join(err, b.close())
		}
	}
	return b.close()
}
