package compare

import (
	"errors"
	"flag"
	"fmt"
	"io"

	"github.com/sentryagent/agentidp/bench/result"
)

// Command is `load compare [-o json] [-scenario PREFIX] [-all] OLD.json NEW.json`.
// A difference is no error: it decides nothing, it tells.
func Command(args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("compare", flag.ContinueOnError)
	flags.SetOutput(stdout)
	flags.Usage = func() {
		fmt.Fprint(stdout, `Compares two results row by row: medians of the rounds, how far the rounds lie
from them, the difference, and ~ where a Mann-Whitney U test (p <= 0.05) cannot
tell the two apart. Four rounds on both sides are the least it can decide by.

  load compare OLD.json NEW.json
  load compare -scenario sidecar -o json OLD.json NEW.json

`)
		flags.PrintDefaults()
	}
	format := flags.String("o", "text", "text or json")
	only := flags.String("scenario", "", "only scenarios whose names begin so")
	all := flags.Bool("all", false, "every metric, not only the usual ones")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return err
	case flags.NArg() != 2:
		return fmt.Errorf("two files are compared, not %d", flags.NArg())
	case *format != "text" && *format != "json":
		return fmt.Errorf("-o is text or json, not %q", *format)
	}
	var files [2]*result.File
	for i := range files {
		f, err := result.ReadFile(flags.Arg(i))
		if err != nil {
			return err
		}
		files[i] = f
	}
	c := Files(files[0], files[1], *only)
	if *format == "json" {
		return c.JSON(stdout)
	}
	return c.Text(stdout, *all)
}
