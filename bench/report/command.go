package report

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/sentryagent/agentidp/bench/result"
)

// Command is `load report [-o PAGE.html] [-svg DIR [-md PAGE.md]] FILE.json`.
func Command(args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("report", flag.ContinueOnError)
	flags.SetOutput(stdout)
	flags.Usage = func() {
		fmt.Fprint(stdout, `Draws a result: one HTML page that needs nothing else, and its charts as SVG files.

  load report -o page.html results/2026-11-22.json
  load report -svg ../docs/performance -md ../docs/performance.md results/2026-11-22.json

`)
		flags.PrintDefaults()
	}
	page := flags.String("o", "", "file of the page")
	pictures := flags.String("svg", "", "folder of the pictures; SVG files that lie there are removed")
	gallery := flags.String("md", "", "Markdown file to name the pictures in, between <!-- pictures --> and <!-- /pictures -->")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return err
	case flags.NArg() != 1:
		return fmt.Errorf("one result is drawn, not %d", flags.NArg())
	case *page == "" && *pictures == "":
		return errors.New("neither -o nor -svg: there is nothing to write")
	}
	f, err := result.ReadFile(flags.Arg(0))
	if err != nil {
		return err
	}
	if *page != "" {
		if err := write(*page, f); err != nil {
			return err
		}
		fmt.Fprintln(stdout, *page)
	}
	if *pictures != "" {
		if err := Pictures(*pictures, f); err != nil {
			return err
		}
		fmt.Fprintln(stdout, *pictures)
		if *gallery != "" {
			if err := Gallery(*gallery, *pictures, f); err != nil {
				return err
			}
			fmt.Fprintln(stdout, *gallery)
		}
	}
	return nil
}

func write(name string, f *result.File) error {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(HTML(file, f), file.Close())
}
