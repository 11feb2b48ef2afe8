package main

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// merge makes one of components that several programs contain, in the order of
// the list.
func merge(all []component) []component {
	order := func(a, b component) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.name, b.name), cmp.Compare(a.version, b.version))
	}
	all = slices.Clone(all)
	slices.SortStableFunc(all, order)
	var merged []component
	for _, c := range all {
		if last := len(merged) - 1; last >= 0 && order(merged[last], c) == 0 {
			merged[last].in = append(merged[last].in, c.in...)
			merged[last].licences = union(merged[last].licences, c.licences)
			merged[last].texts = union(merged[last].texts, c.texts)
			continue
		}
		merged = append(merged, c)
	}
	return merged
}

func union(a, b []string) []string {
	both := slices.Concat(a, b)
	slices.Sort(both)
	return slices.Compact(both)
}

// table is the list as docs/licences.md has it. The standard library has no
// version there: it changes with the toolchain, not with the tree.
func table(all []component) []byte {
	var b bytes.Buffer
	fmt.Fprint(&b, "| component | version | licence | in |\n| --- | --- | --- | --- |\n")
	for _, c := range all {
		version := c.version
		if c.name == "std" {
			version = "of the Go toolchain"
		}
		fmt.Fprintf(&b, "| %s `%s` | %s | %s | %s |\n", c.kind, c.name, version, strings.Join(c.licences, ", "), strings.Join(c.in, ", "))
	}
	return b.Bytes()
}

// texts are the licence and notice files of what is linked into the programs.
func texts(all []component) []byte {
	var b bytes.Buffer
	for _, c := range all {
		if len(c.texts) == 0 {
			continue
		}
		fmt.Fprintf(&b, "==== %s %s\n\n%s\n\n", c.name, c.version, strings.Join(c.texts, "\n\n----\n\n"))
	}
	return b.Bytes()
}
