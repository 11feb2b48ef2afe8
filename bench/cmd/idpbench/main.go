// Idpbench is the part of the benchmark that is linked with the IdP. `make
// bench` builds it with the same tags as the IdP that is measured.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/sentryagent/agentidp/bench/inside"
	"github.com/sentryagent/agentidp/idp/idpbench"
	"github.com/sentryagent/agentidp/shared/command"
)

const usage = `usage: idpbench sign|verify [-go] [-for 1s]
       idpbench append [-database URL] [-dir FOLDER] [-callers N] [-for 1s]
       idpbench serve          an IdP that records no token, with agentidp's settings`

func main() {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		command.Main(idpbench.Run)
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "idpbench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New(usage)
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	duration := flags.Duration("for", time.Second, "how long")
	pureGo := flags.Bool("go", false, "with Go's crypto/rsa")
	database := flags.String("database", "", "URL of an empty PostgreSQL database; default: SQLite")
	folder := flags.String("dir", ".", "folder of the SQLite file, which must not exist")
	callers := flags.Int("callers", 1, "goroutines, each waiting for its own event")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	var m inside.Measurement
	var err error
	switch args[0] {
	case "sign":
		m, err = inside.Sign(ctx, signer(*pureGo), *duration)
	case "verify":
		m, err = inside.Verify(ctx, *pureGo, *duration)
	case "append":
		m, err = inside.Append(ctx, *database, *folder, *callers, *duration)
	default:
		return errors.New(usage)
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(m)
}

// signer is what an IdP of the same environment would sign with.
func signer(pureGo bool) string {
	if pureGo {
		return "go"
	}
	return cmp.Or(os.Getenv("AGENTIDP_SIGNER"), "auto")
}
