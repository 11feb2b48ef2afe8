// Loadevents appends made-up audit events to the log of a store that no program
// has open, to measure lists and proofs on a log as it is after months. It
// writes past the program: it is for throw-away databases.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/sentryagent/agentidp/bench/seed"
)

func main() {
	store := flag.String("store", "", "the migrated store: URL of a PostgreSQL database, whose owner loads, or path of a SQLite file")
	events := flag.Int64("events", 10_000_000, "events to make")
	organizations := flag.Int("organizations", 2000, "organizations that share them; 1 puts all in one")
	months := flag.Int("months", 3, "how far back the first event lies")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	now := time.Now()
	err := run(ctx, *store, seed.Events{
		Count: *events, Organizations: *organizations, First: now.AddDate(0, -*months, 0), Last: now,
		Progress: func(done, of int64) { fmt.Printf("\r%d of %d events", done, of) },
	})
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "loadevents:", err)
		os.Exit(1)
	}
	fmt.Printf(" in %s\n", time.Since(now).Round(time.Second))
}

func run(ctx context.Context, address string, events seed.Events) error {
	if address == "" {
		return errors.New("give -store")
	}
	store, err := seed.Open(ctx, address)
	if err != nil {
		return err
	}
	return errors.Join(store.Events(ctx, events), store.Close())
}
