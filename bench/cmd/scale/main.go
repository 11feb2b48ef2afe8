// Scale measures what one subscriber of the revocation feed, one decision and
// one agent cost, on the product's own code, and sums up what an installation of
// 10^8 agents, 10^5 sidecars and 10^6 decisions a second would need. What is
// measured, and what is only multiplied, stands in docs/scale.md.
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
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sentryagent/agentidp/bench/lab"
	"github.com/sentryagent/agentidp/bench/result"
	"github.com/sentryagent/agentidp/bench/scale"
	"github.com/sentryagent/agentidp/idp/idpbench"
	"github.com/sentryagent/agentidp/shared/command"
)

func main() {
	if filepath.Base(os.Args[0]) == "agentidp" { // started by a run of this program, as its IdP
		command.Main(idpbench.Run)
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "scale:", err)
		os.Exit(1)
	}
}

// settings are the flags.
type settings struct {
	scale.Options
	goal scale.Goal
	file string // for the result; "": none
	from string // files of results to plan with, in place of a run
}

func run(ctx context.Context, args []string, out, progress io.Writer) error {
	s, err := parse(args, progress)
	if err != nil {
		return err
	}
	began := time.Now()
	s.Say = func(format string, args ...any) {
		fmt.Fprintf(progress, "%6.1fs  %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
	}
	rows, err := s.rows(ctx, began)
	for _, row := range rows {
		fmt.Fprintln(out, scale.Line(row))
	}
	if err != nil {
		return err
	}
	cost, err := scale.CostOf(rows, scale.Store(rows))
	if err != nil {
		return nil //nolint:nilerr // a part of a run has nothing to plan with
	}
	fmt.Fprintln(out)
	scale.WritePlan(out, scale.Plan(s.goal, cost))
	return nil
}

// rows are those of earlier runs, or else of a new one, which it saves.
func (s *settings) rows(ctx context.Context, began time.Time) (rows []result.Row, err error) {
	if s.from != "" {
		for path := range strings.SplitSeq(s.from, ",") {
			file, err := load(path)
			if err != nil {
				return rows, err
			}
			rows = append(rows, file.Rows...)
		}
		return rows, nil
	}
	if s.Serving, err = os.Executable(); err != nil {
		return nil, err
	}
	rows, err = scale.Run(ctx, s.Options)
	return rows, errors.Join(err, save(s.file, &result.File{
		Schema: result.Schema, Started: began, Seconds: time.Since(began).Seconds(), Rows: rows,
		Settings: result.Settings{Store: strings.Join(s.Stores, ","), Rounds: s.Rounds},
	}))
}

func load(path string) (_ *result.File, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return result.Read(file)
}

func save(path string, file *result.File) (err error) {
	if path == "" {
		return nil
	}
	to, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	return file.Write(to)
}

func parse(args []string, usage io.Writer) (settings, error) {
	s := settings{goal: scale.Asked(), Options: scale.Options{Idle: 3 * time.Second, Appending: 3 * time.Second}}
	flags := flag.NewFlagSet("scale", flag.ContinueOnError)
	flags.SetOutput(usage)
	numbers(flags, &s.Subscribers, "subscribers", "100,1000,10000,100000", "of the feed in this process; each takes one poll")
	numbers(flags, &s.Connections, "connections", "100,1000,4000", "long polls at a served IdP, which holds 4096")
	numbers(flags, &s.Batches, "batches", "2,10,100,1000", "decisions of a batch, into one log; the smaller, the more sidecars ship")
	numbers(flags, &s.Partitions, "logs", "1,2,4", "logs side by side, in batches of 1000")
	numbers(flags, &s.Appends, "callers", "256", "callers that append single events, each waiting for its own")
	numbers(flags, &s.Agents, "agents", "100000", "agents to seed, each number into a store of its own; 2 to 3 KB each")
	flags.IntVar(&s.Events, "events", 40_000, "decisions of a round of ingest")
	flags.IntVar(&s.Rounds, "rounds", 3, "rounds; figures are their medians")
	stores := flags.String("stores", lab.SQLite+","+lab.PostgreSQL, "stores of ingest and agents; the feed is on the first")
	flags.StringVar(&s.Server, "database", os.Getenv("TEST_DATABASE_URL"), "URL of a PostgreSQL server whose role may create databases; default: TEST_DATABASE_URL, else one of its own, whose processor time is counted")
	flags.StringVar(&s.file, "json", "", "file for the result")
	flags.StringVar(&s.from, "from", "", "files of earlier runs, separated by commas: nothing is measured, only summed up")
	for _, f := range []struct {
		to    *float64
		name  string
		about string
	}{
		{&s.goal.Agents, "goal-agents", "agents of the installation that is planned"},
		{&s.goal.Sidecars, "goal-sidecars", "its sidecars"},
		{&s.goal.Decisions, "goal-decisions", "its decisions a second"},
		{&s.goal.Regions, "goal-regions", "its regions"},
		{&s.goal.TokenLife, "goal-token-life", "seconds of a token's life"},
		{&s.goal.Linger, "goal-linger", "seconds that a sidecar gathers decisions"},
		{&s.goal.Polls, "goal-polls", "long polls of a replica"},
		{&s.goal.Busy, "goal-busy", "part of a core that is planned with"},
		{&s.goal.Recent, "goal-days", "days for which events stay rows"},
		{&s.goal.SignMS, "goal-sign", "milliseconds of a signature"},
		{&s.goal.Requests, "goal-requests", "requests a second of an agent at one sidecar"},
		{&s.goal.Remembered, "goal-remembered", "seconds for which a sidecar remembers a token"},
	} {
		flags.Float64Var(f.to, f.name, *f.to, f.about)
	}
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	s.Stores = strings.Split(*stores, ",")
	return s, check(flags.Args(), s)
}

func check(rest []string, s settings) error {
	for _, store := range s.Stores {
		if store != lab.SQLite && store != lab.PostgreSQL {
			return fmt.Errorf("-stores: %q is neither %s nor %s", store, lab.SQLite, lab.PostgreSQL)
		}
	}
	for _, n := range s.Connections {
		if n > 4096 {
			return fmt.Errorf("-connections: an IdP holds 4096 polls, not %d", n)
		}
	}
	switch {
	case len(rest) > 0:
		return fmt.Errorf("unexpected %q", rest[0])
	case s.Rounds < 1 || s.Events < 1:
		return errors.New("-rounds and -events are 1 at least")
	case s.goal.Busy <= 0 || s.goal.Busy > 1:
		return errors.New("-goal-busy is above 0 and at most 1")
	}
	for _, positive := range []float64{s.goal.Agents, s.goal.Sidecars, s.goal.Decisions, s.goal.Regions, s.goal.TokenLife, s.goal.Polls} {
		if positive <= 0 {
			return errors.New("a goal is above 0")
		}
	}
	return nil
}

// numbers is a flag of positive integers, separated by commas; "" is none.
func numbers[N int | int64](flags *flag.FlagSet, to *[]N, name, standard, about string) {
	set := func(text string) error {
		*to = nil
		for _, field := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' }) {
			n, err := strconv.ParseInt(field, 10, 64)
			if err != nil || n < 1 {
				return fmt.Errorf("%q is no positive number", field)
			}
			*to = append(*to, N(n))
		}
		return nil
	}
	_ = set(standard) // it is well-formed
	flags.Func(name, about+" (default "+standard+")", set)
}
