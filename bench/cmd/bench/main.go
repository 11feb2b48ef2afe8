// Bench starts the built programs on temporary data and measures them in one
// interleaved run, so that each ratio is between neighbours in time.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/sentryagent/agentidp/bench/lab"
	"github.com/sentryagent/agentidp/bench/scenario"
)

func main() {
	o, err := parse(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err = run(ctx, o)
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
	lab.Options
	rounds            int
	slice             time.Duration
	quick             bool
	only              []string
	out, markdown     string
	profile, pictures string
	growth            bool
	agents, events    int64 // with growth: the most
}

// scenarios are those that may be run.
func (o *options) scenarios() []scenario.Scenario {
	if o.growth {
		return scenario.Growth(o.agents, o.events)
	}
	return scenario.All
}

const usage = `Starts the built programs on free ports and temporary data, and measures them.
"make bench" builds them and takes about ten minutes on two cores, "make
bench-quick" two. The exit status is 1 when something could not be measured; a
target that is missed does not change it.

  bench                                      everything, on SQLite
  bench -store postgres -signer libcrypto    on PostgreSQL, with the IdP that "make build-libcrypto" makes
  bench -only issuance,sidecar               some scenarios, with the targets that they decide
  bench -only sidecar,sidecar-cold,idle,revocation -markdown results/sidecar.md
  bench -only sidecar -against ../old/bin    another build of the sidecar in the same rounds
  bench -growth -only growth-events          what becomes of audit queries as the log grows; hours and 20 GB of disk

`

func parse(args []string) (o options, err error) {
	flags := flag.NewFlagSet("bench", flag.ExitOnError)
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), usage, "Scenarios:\n")
		for _, s := range scenario.All {
			fmt.Fprintf(flags.Output(), "  %-18s %s\n", s.Name, s.About)
		}
		fmt.Fprint(flags.Output(), "\nFlags:\n")
		flags.PrintDefaults()
	}
	flags.StringVar(&o.Bin, "bin", "../bin", "folder of the built programs")
	flags.StringVar(&o.Signer, "signer", "go", "what the IdP signs with: go, batch, or libcrypto, which is the build agentidp-libcrypto")
	flags.StringVar(&o.Routes, "routes", "../deploy/dev/routes.yaml", "the sidecar's route file")
	flags.StringVar(&o.Store, "store", lab.SQLite, "sqlite or postgres")
	flags.StringVar(&o.Server, "database", os.Getenv("TEST_DATABASE_URL"), "URL of a PostgreSQL server whose role may create databases; default: TEST_DATABASE_URL, else a server of its own")
	flags.BoolVar(&o.Redis, "redis", false, "replicas share through a Redis of its own")
	flags.StringVar(&o.Against, "against", "", "folder with another build of agentidp-sidecar, measured in the same rounds by the scenario sidecar")
	flags.IntVar(&o.rounds, "rounds", 5, "interleaved rounds of each scenario")
	flags.DurationVar(&o.slice, "slice", time.Second, "length of one measurement")
	flags.BoolVar(&o.quick, "quick", false, "three short rounds on smaller sets; figures are coarse")
	flags.BoolVar(&o.growth, "growth", false, "the scenarios of growth instead, which decide P10: growth-agents, growth-events, growth-revocations")
	flags.Int64Var(&o.agents, "agents", 1_000_000, "with -growth: the most agents")
	flags.Int64Var(&o.events, "events", 10_000_000, "with -growth: the most events")
	only := flags.String("only", "", "scenarios to run, separated by commas")
	flags.StringVar(&o.out, "out", "", "file of the result; default: results/DATE.json")
	flags.StringVar(&o.markdown, "markdown", "", "write the sidecar's tables between the marks of this Markdown file")
	flags.StringVar(&o.profile, "profile", "", "write CPU profiles of the sidecar to FILE.CONNECTIONS, from one more slice of the scenario sidecar")
	flags.StringVar(&o.pictures, "pictures", "", "folder for the SVG pictures of the report; default: none")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("what is %q? Scenarios are named by -only", flags.Arg(0))
	}
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if o.quick && !given["rounds"] {
		o.rounds = 3
	}
	if o.quick && !given["slice"] {
		o.slice = 300 * time.Millisecond
	}
	if o.rounds < 1 || o.slice < 10*time.Millisecond {
		return o, fmt.Errorf("%d rounds of %s: at least 1 of 10ms", o.rounds, o.slice)
	}
	for name := range strings.SplitSeq(*only, ",") {
		if name == "" {
			continue
		}
		if !slices.ContainsFunc(o.scenarios(), func(s scenario.Scenario) bool { return s.Name == name }) {
			return o, fmt.Errorf("there is no scenario %q; -help lists them", name)
		}
		o.only = append(o.only, name)
	}
	return o, nil
}
