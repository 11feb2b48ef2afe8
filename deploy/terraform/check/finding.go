package main

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// A finding is one broken rule, at its place.
type finding struct {
	file         string
	line, column int
	rule, text   string
}

func (f finding) String() string {
	return fmt.Sprintf("%s:%d:%d: %s: %s", f.file, f.line, f.column, f.rule, f.text)
}

// findings are of one tree; a file is named as seen from its root.
type findings struct {
	root string
	list []finding
}

func (f *findings) add(at hcl.Range, rule, format string, args ...any) {
	file, err := filepath.Rel(f.root, at.Filename)
	if err != nil {
		file = at.Filename
	}
	f.list = append(f.list, finding{file, at.Start.Line, at.Start.Column, rule, fmt.Sprintf(format, args...)})
}

func (f *findings) diagnose(rule string, within hcl.Range, diagnostics hcl.Diagnostics) {
	for _, d := range diagnostics {
		if d.Severity != hcl.DiagError {
			continue
		}
		at := within
		if d.Subject != nil {
			at = *d.Subject
		}
		f.add(at, rule, "%s; %s", d.Summary, strings.Join(strings.Fields(d.Detail), " "))
	}
}

// sorted is every finding once, in the order of the files.
func (f *findings) sorted() []finding {
	slices.SortFunc(f.list, func(a, b finding) int {
		return cmp.Or(cmp.Compare(a.file, b.file), cmp.Compare(a.line, b.line), cmp.Compare(a.column, b.column), cmp.Compare(a.rule, b.rule), cmp.Compare(a.text, b.text))
	})
	return slices.Compact(f.list)
}
