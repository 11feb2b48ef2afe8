// Gate fails when a hot path allocates more than the table says. It counts
// allocations and their bytes, which are the same on every machine, and never
// time, which is not. Run it from anywhere in the workspace:
//
//	go run ./bench/gate            compare
//	go run ./bench/gate -update    write what is measured into the table
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
)

// Each benchmark runs so many times as often as that, and its best run counts:
// what else goes on in a process adds allocations and takes none away.
const (
	runs  = 3
	times = "300x"
)

func main() {
	update := flag.Bool("update", false, "write what is measured into the table")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, *update)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-gate:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, update bool) error {
	root, err := workspace()
	if err != nil {
		return err
	}
	path := filepath.Join(root, "bench", "gate.txt")
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	rows, err := parseTable(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	measured, err := measure(ctx, root, rows)
	if err != nil {
		return err
	}
	if update {
		return os.WriteFile(path, []byte(formatTable(measured)), 0o644)
	}
	grown := 0
	for i, row := range rows {
		verdict, bad := row.judge(measured[i])
		if bad {
			grown++
		}
		fmt.Printf("%-32s %-28s %5d allocs/op %7d B/op  %s\n", row.pkg, row.name, measured[i].allocs, measured[i].bytes, verdict)
	}
	if grown > 0 {
		return fmt.Errorf("%d hot paths allocate more than bench/gate.txt says; if it must be so: make bench-gate UPDATE=-update", grown)
	}
	return nil
}

// workspace is the folder above us that holds go.work.
func workspace() (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		if _, found := os.Stat(filepath.Join(dir, "go.work")); found == nil {
			return dir, nil
		}
		if parent := filepath.Dir(dir); parent != dir {
			dir = parent
			continue
		}
		err = errors.New("no go.work above the current folder")
	}
	return "", err
}

// measure runs the benchmarks of the rows, package by package, and gives the
// same rows with what came out.
func measure(ctx context.Context, root string, rows []row) ([]row, error) {
	measured := slices.Clone(rows)
	var packages []string
	for _, r := range rows {
		if !slices.Contains(packages, r.pkg) {
			packages = append(packages, r.pkg)
		}
	}
	failed := make([]error, len(packages))
	places := make(chan struct{}, runtime.NumCPU())
	var group sync.WaitGroup
	for n, pkg := range packages {
		group.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			best, err := benchmark(ctx, root, pkg, rows)
			failed[n] = err
			for i, r := range rows {
				if r.pkg != pkg || err != nil {
					continue
				}
				var found bool
				if measured[i], found = best[r.name]; !found {
					failed[n] = errors.Join(failed[n], fmt.Errorf("%s has no %s", pkg, r.name))
				}
				measured[i].pkg = pkg
			}
		})
	}
	group.Wait()
	return measured, errors.Join(failed...)
}

// benchmark runs those benchmarks of a package that are in rows, and gives the
// best of each by name.
func benchmark(ctx context.Context, root, pkg string, rows []row) (map[string]row, error) {
	var names []string
	for _, r := range rows {
		name, _, _ := strings.Cut(r.name, "/")
		if r.pkg == pkg && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	command := exec.CommandContext(ctx, "go", "test", "-run=^$", "-bench=^("+strings.Join(names, "|")+")$", "-benchmem",
		"-benchtime="+times, fmt.Sprintf("-count=%d", runs), "-cpu=1", "./"+pkg)
	command.Dir = root
	output, err := command.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", strings.Join(command.Args, " "), err, output)
	}
	return parseOutput(string(output)), nil
}
