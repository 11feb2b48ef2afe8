package main

import (
	"bytes"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/sentryagent/agentidp/deploy/terraform/check/schema"
)

// A mutation replaces one place of one file; one of the rules must find it.
type mutation struct {
	kind  string
	at    hcl.Range
	text  string
	rules []string
}

type mutations struct {
	scope  *scope
	source []byte
	list   []mutation
}

func (m *mutations) add(kind string, at hcl.Range, text string, rules ...string) {
	m.list = append(m.list, mutation{kind, at, text, rules})
}

func mutationsOf(s *scope, body *hclsyntax.Body, source []byte) []mutation {
	m := &mutations{scope: s, source: source}
	for _, block := range body.Blocks {
		m.block(block)
	}
	m.expressions(body)
	if i := bytes.LastIndexByte(source, '}'); i >= 0 {
		m.add("brace lost", m.bytes(i, i+1), "", "syntax")
	}
	if i := bytes.Index(source, []byte("\n  ")); i >= 0 {
		m.add("indented", m.bytes(i, i+1), "\n ", "format")
	}
	return m.list
}

func (m *mutations) bytes(start, end int) hcl.Range {
	return hcl.Range{Start: hcl.Pos{Byte: start, Line: 1 + bytes.Count(m.source[:start], []byte("\n")), Column: 1}, End: hcl.Pos{Byte: end}}
}

func (m *mutations) block(block *hclsyntax.Block) {
	name := ""
	if len(block.Labels) > 0 {
		name = block.Labels[len(block.Labels)-1]
	}
	switch block.Type {
	case "resource", "data":
		a := address{block.Type == "data", block.Labels[0], name}
		m.add("type renamed", block.LabelRanges[0], `"`+block.Labels[0]+`s"`, "type")
		m.body(block.Body, m.scope.facts.Of(a.data, a.kind))
	case "provider":
		m.body(block.Body, m.scope.facts[block.Labels[0]].Configuration)
	case "module":
		m.inputs(block)
	case "variable":
		m.add("variable renamed", block.LabelRanges[0], `"`+name+`_x"`, "variable", "unused")
		m.drop("description dropped", block, "description", "required")
		m.drop("type dropped", block, "type", "required")
		if secretName(name) {
			m.drop("sensitive dropped", block, "sensitive", "sensitive")
		}
	case "output":
		m.drop("description dropped", block, "description", "required")
		if m.wanted(name) {
			m.add("output renamed", block.LabelRanges[0], `"`+name+`_x"`, "output", "expression")
		}
	case "terraform":
		m.pins(block)
	}
}

// wanted says whether a module that calls this one reads the output.
func (m *mutations) wanted(output string) bool {
	for _, other := range m.scope.modules {
		for name, call := range other.calls {
			if source := call.Body.Attributes["source"]; source == nil || filepath.Join(other.dir, literal(source.Expr)) != m.scope.m.dir {
				continue
			}
			for _, path := range sortedKeys(m.scope.tree.scopes) {
				if path == other.dir && reads(other, name, output) {
					return true
				}
			}
		}
	}
	return false
}

func reads(m *module, call, output string) bool {
	all := []*hclsyntax.Block{}
	for _, block := range m.resources {
		all = append(all, block)
	}
	all = slices.AppendSeq(slices.AppendSeq(all, maps.Values(m.calls)), maps.Values(m.outputs))
	for _, block := range all {
		read := false
		visit(block.Body, func(node hclsyntax.Node) {
			if name, ok := node.(*hclsyntax.ScopeTraversalExpr); ok && name.Traversal.RootName() == "module" {
				then, _ := after(name.Traversal, 2)
				read = read || slices.Equal(leading(name.Traversal)[:2], []string{"module", call}) && then == output
			}
		})
		if read {
			return true
		}
	}
	return false
}

func (m *mutations) drop(kind string, block *hclsyntax.Block, name string, rules ...string) {
	if attribute := block.Body.Attributes[name]; attribute != nil {
		m.add(kind, attribute.SrcRange, "", rules...)
	}
}

func (m *mutations) inputs(block *hclsyntax.Block) {
	child := m.scope.child(block)
	for _, name := range sortedKeys(block.Body.Attributes) {
		in, ok := child.inputs[name]
		if !ok {
			continue
		}
		attribute := block.Body.Attributes[name]
		m.add("input renamed", attribute.NameRange, name+"_x", "input")
		if in.required {
			m.add("input dropped", attribute.SrcRange, "", "input")
		}
	}
}

func (m *mutations) pins(block *hclsyntax.Block) {
	for _, inner := range block.Body.Blocks {
		if inner.Type != "required_providers" {
			continue
		}
		visit(inner.Body, func(node hclsyntax.Node) {
			if text, ok := node.(*hclsyntax.TemplateExpr); ok && strings.HasPrefix(literal(text), "~>") {
				m.add("pin loosened", text.SrcRange, `">= 1.0"`, "pin")
			}
		})
	}
}

func (m *mutations) body(body *hclsyntax.Body, s *schema.Body) {
	if s == nil {
		return
	}
	for _, name := range sortedKeys(body.Attributes) {
		attribute := body.Attributes[name]
		if slices.Contains(meta, name) {
			continue
		}
		m.add("argument renamed", attribute.NameRange, name+"_x", "argument")
		if schema.Mode(s.Attributes[name]) == "required" {
			m.add("argument dropped", attribute.SrcRange, "", "required")
		}
	}
	for _, block := range body.Blocks {
		inner, name := block, block.Type
		if name == "dynamic" {
			inner, name = block.Body.Blocks[0], block.Labels[0]
			m.add("block renamed", block.LabelRanges[0], `"`+name+`_x"`, "block")
		} else if name != "lifecycle" {
			m.add("block renamed", block.TypeRange, name+"_x", "block")
		}
		of := s.Blocks[name]
		if of == nil {
			continue
		}
		if of.Mode == "required" && m.count(body, name) == 1 {
			m.add("block dropped", block.Range(), "", "required")
		}
		m.body(inner.Body, &of.Body)
	}
}

func (m *mutations) count(body *hclsyntax.Body, name string) int {
	n := 0
	for _, block := range body.Blocks {
		if block.Type == name || block.Type == "dynamic" && block.Labels[0] == name {
			n++
		}
	}
	return n
}

// expressions breaks names and functions.
func (m *mutations) expressions(body *hclsyntax.Body) {
	visit(body, func(node hclsyntax.Node) {
		switch node := node.(type) {
		case *hclsyntax.FunctionCallExpr:
			if !slices.Contains([]string{"object", "list", "map", "set", "tuple", "optional"}, node.Name) {
				m.add("function renamed", node.NameRange, node.Name+"_x", "function")
			}
		case *hclsyntax.ScopeTraversalExpr:
			m.traversal(node.Traversal)
		}
	})
}

func (m *mutations) traversal(traversal hcl.Traversal) {
	names := leading(traversal)
	if len(names) < 2 {
		return
	}
	step := func(i int) hcl.Range {
		at := traversal[i].(hcl.TraverseAttr).SrcRange
		at.Start.Byte++ // the dot
		return at
	}
	switch {
	case slices.Contains([]string{"var", "local"}, names[0]):
		m.add("reference broken", step(1), names[1]+"_x", "variable", "local")
	case names[0] == "module":
		m.add("reference broken", step(1), names[1]+"_x", "module")
	case names[0] == "data" && len(names) > 2:
		m.object(traversal, address{true, names[1], names[2]}, 3, step)
	case m.scope.m.resources[address{false, names[0], names[1]}] != nil:
		m.object(traversal, address{false, names[0], names[1]}, 2, step)
	}
}

func (m *mutations) object(traversal hcl.Traversal, a address, n int, step func(int) hcl.Range) {
	m.add("reference broken", step(n-1), a.name+"_x", "reference")
	if len(traversal) > n {
		if attribute, ok := traversal[n].(hcl.TraverseAttr); ok {
			m.add("attribute renamed", step(n), attribute.Name+"_x", "attribute")
		}
	}
}
