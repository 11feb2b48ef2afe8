// Sbom writes what the release is made of: for each program a bill of materials
// (CycloneDX JSON) read out of the built file, the licence texts that have to go
// with it, and docs/licences.md. It fails on a licence that is not allowed.
//
//	sbom -root ../.. -out ../../bin -version v1.2.3 -npm dashboard.json agentidp=idp/cmd/agentidp …
//
// Each argument is the name of a file in -out and the package it was built from.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

type settings struct {
	root, out, version string
	bills              []string
	update             bool
}

func main() {
	var s settings
	flag.StringVar(&s.root, "root", ".", "top of the tree that was built")
	flag.StringVar(&s.out, "out", "bin", "folder of the programs; bills and texts go there too")
	flag.StringVar(&s.version, "version", "dev", "version of the release")
	flag.Func("npm", "a bill that npm wrote, to be listed too", func(file string) error {
		s.bills = append(s.bills, file)
		return nil
	})
	flag.BoolVar(&s.update, "update", false, "write docs/licences.md instead of comparing it")
	flag.Parse()
	if err := run(s, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

func run(s settings, programs []string) error {
	var all []component
	for _, program := range programs {
		name, pkg, ok := strings.Cut(program, "=")
		if !ok {
			return fmt.Errorf("%q is not NAME=PACKAGE", program)
		}
		built, err := linked(s.root, filepath.Join(s.out, name), pkg)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := writeBill(filepath.Join(s.out, name+".cdx.json"), name, s.version, built); err != nil {
			return err
		}
		all = append(all, built.components...)
	}
	for _, file := range s.bills {
		read, err := readBill(file)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		all = append(all, read...)
	}
	all = merge(all)
	if err := judge(all); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(s.out, "LICENCES.txt"), texts(all), 0o644); err != nil { //nolint:gosec // for everybody
		return err
	}
	return settle(filepath.Join(s.root, "docs/licences.md"), table(all), s.update)
}

// settle compares the generated part of the page with what it should be, or
// writes it.
func settle(page string, want []byte, update bool) error {
	const begin, end = "<!-- licences -->\n", "<!-- /licences -->\n"
	content, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	before, rest, found := bytes.Cut(content, []byte(begin))
	have, after, closed := bytes.Cut(rest, []byte(end))
	switch {
	case !found || !closed:
		return fmt.Errorf("%s has no place for the list", page)
	case bytes.Equal(have, want):
		return nil
	case !update:
		return errors.New("docs/licences.md is not what was built: run `make sbom UPDATE=-update` and read what it changes")
	}
	return os.WriteFile(page, bytes.Join([][]byte{before, []byte(begin), want, []byte(end), after}, nil), 0o644) //nolint:gosec // for everybody
}
