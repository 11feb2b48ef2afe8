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
	switch {
	case len(os.Args) == 3 && os.Args[1] == "upstream":
		exit(serveUpstream(os.Args[2]))
	case len(os.Args) == 4 && os.Args[1] == "bare":
		exit(serveBare(os.Args[2], os.Args[3]))
	}
	bin := flag.String("bin", "../bin", "folder of the built programs")
	routes := flag.String("routes", "../deploy/dev/routes.yaml", "the sidecar's route file")
	rounds := flag.Int("rounds", 5, "interleaved rounds of each scenario")
	slice := flag.Duration("slice", 2*time.Second, "length of one measurement")
	feeds := flag.Int("feeds", 200, "long polls that a suspension has to reach")
	database := flag.String("database", "", "URL of an empty PostgreSQL database for the IdP; default: SQLite")
	only := flag.String("only", "", "run one scenario: issuance, reach, footprint or sidecar")
	out := flag.String("out", "", "write the tables of the scenario sidecar to this Markdown file too")
	profile := flag.String("profile", "", "write CPU profiles of the sidecar to FILE.CONNECTIONS, from one more slice of the scenario sidecar")
	against := flag.String("against", "", "folder with another build of agentidp-sidecar: the scenario sidecar measures it in the same rounds")
	flag.Usage = func() {
		fmt.Fprint(flag.CommandLine.Output(), `Starts the built programs on free ports and temporary data, and measures them.

  bench                                            everything (make build first)
  bench -only sidecar -out results/sidecar.md      the sidecar beside a bare fasthttp proxy and the upstream itself
  bench -only reach -feeds 50                      how soon a suspension reaches many feeds

`)
		flag.PrintDefaults()
	}
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, options{bin: *bin, routes: *routes, rounds: *rounds, slice: *slice, feeds: *feeds, database: *database, only: *only, out: *out, profile: *profile, against: *against})
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
	bin, routes, database, only, out, profile, against string

	rounds, feeds int
	slice         time.Duration
}

func run(ctx context.Context, o options) error {
	b, err := start(ctx, o)
	if err != nil {
		return err
	}
	for _, scenario := range []struct {
		name    string
		measure func(context.Context) error
	}{
		{"issuance", b.issuance}, {"reach", b.reach}, {"footprint", b.footprint}, {"sidecar", b.sidecar},
	} {
		if o.only != "" && o.only != scenario.name {
			continue
		}
		if err := scenario.measure(ctx); err != nil {
			return errors.Join(err, b.close())
		}
	}
	return b.close()
}
