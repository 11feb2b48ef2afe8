package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/deploy/terraform/check/schema"
)

// most is how many places of a file are tried for one kind of mutation, spread
// over the file. All of them are tried with MUTATIONS=all.
const most = 2

// Each file of the modules is broken in every way that it can be; the check has to
// find each.
func TestMutations(t *testing.T) {
	root, err := filepath.Abs(top)
	require.NoError(t, err)
	known, err := schema.Read(filepath.Join(root, "facts"))
	require.NoError(t, err)
	sources, err := readTree(root)
	require.NoError(t, err)
	silence := &findings{root: root}
	bodies := parse(sources, silence)
	base := &tree{facts: known, modules: group(bodies, silence), scopes: map[string]*scope{}, found: silence}
	for dir := range base.modules {
		base.scope(dir)
	}
	tried := map[string]int{}
	for _, path := range sortedKeys(sources) {
		if !isBody(path) {
			continue
		}
		for _, m := range thinned(mutationsOf(base.scopes[filepath.Dir(path)], bodies[path], sources[path])) {
			tried[m.kind]++
			list := base.mutated(path, m, sources[path], bodies)
			hit := slices.ContainsFunc(list, func(f finding) bool { return slices.Contains(m.rules, f.rule) })
			if !hit {
				relative, _ := filepath.Rel(root, path)
				t.Errorf("%s:%d:%d: %s: %q becomes %q, and is not found", relative, m.at.Start.Line, m.at.Start.Column, m.kind, m.at.SliceBytes(sources[path]), m.text)
			}
		}
	}
	for _, kind := range []string{
		"argument renamed", "argument dropped", "block renamed", "block dropped", "function renamed", "type renamed", "input dropped", "input renamed",
		"variable renamed", "output renamed", "description dropped", "type dropped", "reference broken", "attribute renamed", "pin loosened", "brace lost", "indented",
	} {
		require.Positive(t, tried[kind], kind)
	}
	t.Log(tried)
}

// mutated checks the module of the file again, and those that call it; the rest of
// the tree stays as it was read.
func (t *tree) mutated(path string, m mutation, source []byte, bodies map[string]*hclsyntax.Body) []finding {
	silence := &findings{root: t.found.root}
	source = slices.Concat(source[:m.at.Start.Byte], []byte(m.text), source[m.at.End.Byte:])
	own, dir := parse(map[string][]byte{path: source}, silence), filepath.Dir(path)
	for name, body := range bodies {
		if name != path && filepath.Dir(name) == dir {
			own[name] = body
		}
	}
	changed := &tree{facts: t.facts, modules: maps.Clone(t.modules), scopes: maps.Clone(t.scopes), found: silence}
	maps.Copy(changed.modules, group(own, silence))
	again := map[string]bool{dir: true}
	for grown := true; grown; {
		grown = false
		for caller, module := range t.modules {
			for _, call := range module.calls {
				if source := call.Body.Attributes["source"]; source != nil && !again[caller] && again[filepath.Join(caller, literal(source.Expr))] {
					again[caller], grown = true, true
				}
			}
		}
	}
	for dir := range again {
		delete(changed.scopes, dir)
	}
	for _, dir := range sortedKeys(again) {
		if s := changed.scope(dir); s != nil {
			s.module()
		}
	}
	return silence.sorted()
}

func thinned(all []mutation) []mutation {
	if os.Getenv("MUTATIONS") == "all" {
		return all
	}
	kinds := map[string][]mutation{}
	for _, m := range all {
		kinds[m.kind] = append(kinds[m.kind], m)
	}
	var some []mutation
	for _, kind := range sortedKeys(kinds) {
		list := kinds[kind]
		n := min(most, len(list))
		for i := range n {
			some = append(some, list[i*len(list)/n])
		}
	}
	return some
}
