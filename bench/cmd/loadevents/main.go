// Loadevents fills an empty, migrated audit log with made-up events, to measure
// lists and proofs on a log as it is after months. It writes past the program,
// so there is no checkpoint: it is for throw-away databases.
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
	postgres := flag.String("postgres", "", "URL of a migrated PostgreSQL database with an empty log; its owner loads")
	sqlite := flag.String("sqlite", "", "path of a migrated SQLite file with an empty log, that no program has open")
	events := flag.Int64("events", 10_000_000, "events to make")
	organizations := flag.Int("organizations", 2000, "organizations that share them; 1 puts all in one")
	months := flag.Int("months", 3, "how far back the first event lies")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, *postgres, *sqlite, newLog(*events, *organizations, *months, time.Now()))
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "loadevents:", err)
		os.Exit(1)
	}
}

var errTarget = errors.New("give either -postgres or -sqlite")

func run(ctx context.Context, postgres, sqlite string, l *log) error {
	started := time.Now()
	var err error
	switch {
	case (postgres == "") == (sqlite == ""):
		return errTarget
	case postgres != "":
		err = loadPostgres(ctx, postgres, l)
	default:
		err = loadSQLite(ctx, sqlite, l)
	}
	if err == nil {
		fmt.Printf("%d events in %s\n", l.events, time.Since(started).Round(time.Second))
	}
	return err
}
