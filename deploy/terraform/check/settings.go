package main

import (
	"strings"

	"github.com/hashicorp/go-version"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// A requirement is an entry of required_providers.
type requirement struct {
	at              hcl.Range
	source, version string
	aliases         []string // of configuration_aliases
}

// requirements are written as an object with names in it, so it is not evaluated
// as a whole.
func (m *module) requirements(found *findings) map[string]requirement {
	all := map[string]requirement{}
	for _, settings := range m.settings {
		for _, block := range settings.Body.Blocks {
			if block.Type != "required_providers" {
				continue
			}
			for name, attribute := range block.Body.Attributes {
				all[name] = readRequirement(attribute, found)
			}
		}
	}
	return all
}

func readRequirement(attribute *hclsyntax.Attribute, found *findings) requirement {
	r := requirement{at: attribute.NameRange}
	object, ok := attribute.Expr.(*hclsyntax.ObjectConsExpr)
	if !ok {
		found.add(attribute.Expr.Range(), "pin", "%s wants a source and a version", attribute.Name)
		return r
	}
	for _, item := range object.Items {
		switch key := hcl.ExprAsKeyword(item.KeyExpr); key {
		case "source":
			r.source = literal(item.ValueExpr)
		case "version":
			r.version = literal(item.ValueExpr)
		case "configuration_aliases":
			for _, alias := range item.ValueExpr.Variables() {
				r.aliases = append(r.aliases, strings.Join(leading(alias), "."))
			}
		default:
			found.add(item.KeyExpr.Range(), "argument", "a required provider has no %s", key)
		}
	}
	return r
}

// literal is the text of a constant string, or nothing.
func literal(expression hclsyntax.Expression) string {
	value, diagnostics := expression.Value(nil)
	if diagnostics.HasErrors() || !value.IsKnown() || value.IsNull() || value.Type() != cty.String {
		return ""
	}
	return value.AsString()
}

// configurations are the providers that a resource of the module may name.
func (m *module) configurations() map[string]bool {
	names := map[string]bool{}
	for name, r := range m.requirements(&findings{}) {
		names[name] = true
		for _, alias := range r.aliases {
			names[alias] = true
		}
	}
	for _, block := range m.providers {
		name := block.Labels[0]
		if alias := block.Body.Attributes["alias"]; alias != nil {
			name += "." + literal(alias.Expr)
		}
		names[name] = true
	}
	return names
}

// requires says that a module has to name the provider of what it uses.
func (s *scope) requires(block *hclsyntax.Block, provider string) {
	s.used["provider."+provider] = true
	if _, ok := s.m.requirements(&findings{})[provider]; !ok {
		s.found.add(block.DefRange(), "pin", "required_providers has no %s", provider)
	}
}

// settings holds the terraform blocks: the program has its oldest version, each provider its
// range, and the facts are of a version within.
func (s *scope) settings() {
	pinned := false
	for _, block := range s.m.settings {
		for name, attribute := range block.Body.Attributes {
			if name != "required_version" {
				s.found.add(attribute.NameRange, "argument", "terraform has no argument %s here", name)
				continue
			}
			pinned = literal(attribute.Expr) != ""
		}
		for _, inner := range block.Body.Blocks {
			if inner.Type != "required_providers" && inner.Type != "backend" {
				s.found.add(inner.DefRange(), "block", "terraform has no block %s here", inner.Type)
			}
		}
	}
	if !pinned && len(s.m.files) > 0 {
		s.found.add(hcl.Range{Filename: s.m.files[0], Start: hcl.InitialPos}, "pin", "no required_version in this folder")
	}
	for name, r := range s.m.requirements(s.found) {
		known := s.facts[name]
		constraints := s.pin(r.at, r.version)
		switch {
		case known == nil:
			s.found.add(r.at, "provider", "no facts of the provider %s", name)
		case r.source != known.Source:
			s.found.add(r.at, "pin", "the source of %s is %s, not %q", name, known.Source, r.source)
		case constraints != nil && !constraints.Check(version.Must(version.NewVersion(known.Version))):
			s.found.add(r.at, "pin", "%s %s excludes %s, which the facts are of", name, r.version, known.Version)
		}
	}
}

// pin wants a constraint that does not reach into a major version to come.
func (s *scope) pin(at hcl.Range, text string) version.Constraints {
	constraints, err := version.NewConstraint(text)
	if err != nil {
		s.found.add(at, "pin", "the version %q: %v", text, err)
		return nil
	}
	if constraints.Check(version.Must(version.NewVersion("999.0.0"))) {
		s.found.add(at, "pin", "the version %q has no end", text)
	}
	return constraints
}

func (s *scope) provider(block *hclsyntax.Block) {
	name := block.Labels[0]
	known := s.facts[name]
	if known == nil {
		s.found.add(block.DefRange(), "provider", "no facts of the provider %s", name)
		return
	}
	s.requires(block, name)
	s.top().body(block.Body, known.Configuration, "provider "+name)
}
