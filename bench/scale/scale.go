// Package scale measures what one core, one subscriber, one event and one agent
// cost, on the product's own code, and multiplies it up to installations that no
// test machine can hold: docs/scale.md rests on it.
//
// What is driven is the IdP's code: its feed in this process and behind its own
// server, its audit log on both stores, its schema filled by package seed. What
// is simulated are the sidecars, agents and decisions.
package scale

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/sentryagent/agentidp/bench/lab"
	"github.com/sentryagent/agentidp/bench/result"
)

// Options say what to measure, and how much of it.
type Options struct {
	Subscribers []int         // of the feed, in this process
	Connections []int         // long polls at a served IdP; at most 4096, its bound
	Partitions  []int         // logs at once
	Batches     []int         // decisions of a batch, on one log
	Events      int           // of one round of ingest, all partitions together
	Appends     []int         // callers, each waiting for its own event
	Appending   time.Duration // of a round
	Agents      []int64       // seeded
	Rounds      int
	Idle        time.Duration // for how long a served IdP is watched doing nothing
	Stores      []string      // lab.SQLite, lab.PostgreSQL
	Server      string        // URL of a PostgreSQL server; "": one of our own
	// Serving is the program that is the IdP when it is called agentidp; "": no
	// connections are measured.
	Serving string
	Say     func(format string, args ...any) // a line at a time
}

// Run measures everything that the options name. What is measured already comes
// back with the error.
func Run(ctx context.Context, o Options) (rows []result.Row, err error) {
	dir, err := os.MkdirTemp("", "agentidp-scale-")
	if err != nil {
		return nil, err
	}
	r := &run{Options: o, dir: dir}
	defer func() { err = errors.Join(err, r.close()) }()
	for _, measure := range []func(context.Context) error{r.feeds, r.wires, r.ingests, r.appends, r.directories} {
		if err := measure(ctx); err != nil {
			return r.rows, err
		}
	}
	return r.rows, nil
}

// run is one run. Its methods are not safe for concurrent use.
type run struct {
	Options
	dir    string
	made   int
	server *lab.Server // opened when it is first needed
	rows   []result.Row
}

func (r *run) close() error {
	var err error
	if r.server != nil {
		err = r.server.Close()
	}
	return errors.Join(err, os.RemoveAll(r.dir))
}

// add keeps a row and tells its medians.
func (r *run) add(row result.Row) {
	r.rows = append(r.rows, row)
	r.Say("%s", Line(row))
}

// path names a file that is not there yet.
func (r *run) path(name string) string {
	r.made++
	return filepath.Join(r.dir, fmt.Sprintf("%d-%s", r.made, name))
}

// database is the URL of an empty one, "" on SQLite.
func (r *run) database(ctx context.Context, store string) (string, error) {
	if store != lab.PostgreSQL {
		return "", nil
	}
	if r.server == nil {
		server, err := lab.OpenServer(ctx, r.Server)
		if err != nil {
			return "", err
		}
		r.server = server
	}
	return r.server.Database(ctx)
}

// spent is the processor time of this process so far, user and system.
func spent() (time.Duration, error) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0, fmt.Errorf("processor time: %w", err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), nil
}
