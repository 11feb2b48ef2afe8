package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"

	"github.com/sentryagent/agentidp/deploy/terraform/check/extract"
	"github.com/sentryagent/agentidp/deploy/terraform/check/schema"
)

// A module is a folder of .tf files, by what its top-level blocks declare.
type module struct {
	dir       string
	files     []string
	settings  []*hclsyntax.Block // terraform
	providers []*hclsyntax.Block
	checks    []*hclsyntax.Block
	moved     []*hclsyntax.Block
	variables map[string]*hclsyntax.Block
	outputs   map[string]*hclsyntax.Block
	calls     map[string]*hclsyntax.Block
	locals    map[string]*hclsyntax.Attribute
	resources map[address]*hclsyntax.Block
	values    map[string]*hclsyntax.Attribute // of .tfvars files, by file and name
}

type address struct {
	data       bool
	kind, name string
}

func (a address) String() string {
	if a.data {
		return "data." + a.kind + "." + a.name
	}
	return a.kind + "." + a.name
}

func isBody(name string) bool { return strings.HasSuffix(name, ".tf") }

func isValues(name string) bool {
	return strings.HasSuffix(name, ".tfvars") || strings.HasSuffix(name, ".tfvars.example")
}

// readTree reads every .tf file and file of values below root. The folder of this
// checker has test data, which is no part of the tree.
func readTree(root string) (map[string][]byte, error) {
	sources := map[string][]byte{}
	return sources, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (path == filepath.Join(root, "check") || entry.Name() == ".terraform"):
			return filepath.SkipDir
		case entry.IsDir() || !isBody(path) && !isValues(path):
			return nil
		}
		sources[path], err = os.ReadFile(path) //nolint:gosec // the tree's own files
		return err
	})
}

// parse reads each file; one that is not of the language is left out.
func parse(sources map[string][]byte, found *findings) map[string]*hclsyntax.Body {
	bodies := map[string]*hclsyntax.Body{}
	for _, path := range sortedKeys(sources) {
		source := sources[path]
		file, diagnostics := hclsyntax.ParseConfig(source, path, hcl.InitialPos)
		found.diagnose("syntax", hcl.Range{Filename: path, Start: hcl.InitialPos}, diagnostics)
		if diagnostics.HasErrors() {
			continue
		}
		bodies[path] = file.Body.(*hclsyntax.Body) //nolint:forcetypeassert // the native syntax has no other
		if formatted := hclwrite.Format(source); !bytes.Equal(formatted, source) {
			found.add(firstDifference(path, source, formatted), "format", "`tofu fmt` writes this otherwise")
		}
	}
	return bodies
}

// group makes a module of each folder.
func group(bodies map[string]*hclsyntax.Body, found *findings) map[string]*module {
	modules := map[string]*module{}
	for _, path := range sortedKeys(bodies) {
		dir := filepath.Dir(path)
		if modules[dir] == nil {
			modules[dir] = &module{
				dir: dir, variables: map[string]*hclsyntax.Block{}, outputs: map[string]*hclsyntax.Block{}, calls: map[string]*hclsyntax.Block{},
				locals: map[string]*hclsyntax.Attribute{}, resources: map[address]*hclsyntax.Block{}, values: map[string]*hclsyntax.Attribute{},
			}
		}
		modules[dir].take(path, bodies[path], found)
	}
	return modules
}

func (m *module) take(path string, body *hclsyntax.Body, found *findings) {
	m.files = append(m.files, path)
	if isValues(path) {
		for name, value := range body.Attributes {
			m.values[path+":"+name] = value
		}
		return
	}
	for _, attribute := range body.Attributes {
		found.add(attribute.NameRange, "block", "%s stands outside of every block", attribute.Name)
	}
	for _, block := range body.Blocks {
		m.declare(block, found)
	}
}

// labels of each block that may stand at the top.
var labels = map[string]int{"terraform": 0, "locals": 0, "moved": 0, "provider": 1, "variable": 1, "output": 1, "module": 1, "check": 1, "resource": 2, "data": 2}

func (m *module) declare(block *hclsyntax.Block, found *findings) {
	at := block.DefRange()
	want, ok := labels[block.Type]
	if !ok || want != len(block.Labels) {
		found.add(at, "block", "%s with %d labels is not a block that these modules may have", block.Type, len(block.Labels))
		return
	}
	twice := func(again bool, name string) {
		if again {
			found.add(at, "duplicate", "%s is declared twice", name)
		}
	}
	add := func(in map[string]*hclsyntax.Block) {
		twice(in[block.Labels[0]] != nil, block.Type+" "+block.Labels[0])
		in[block.Labels[0]] = block
	}
	switch block.Type {
	case "terraform":
		m.settings = append(m.settings, block)
	case "provider":
		m.providers = append(m.providers, block)
	case "moved":
		m.moved = append(m.moved, block)
	case "check":
		m.checks = append(m.checks, block)
	case "variable":
		add(m.variables)
	case "output":
		add(m.outputs)
	case "module":
		add(m.calls)
	case "locals":
		for name, value := range block.Body.Attributes {
			twice(m.locals[name] != nil, "local."+name)
			m.locals[name] = value
		}
	default:
		a := address{block.Type == "data", block.Labels[0], block.Labels[1]}
		twice(m.resources[a] != nil, a.String())
		m.resources[a] = block
	}
}

// usedTypes are the types of every module under root, by the provider's name.
func usedTypes(root string) (map[string]extract.Types, error) {
	sources, err := readTree(root)
	if err != nil {
		return nil, err
	}
	used := map[string]extract.Types{}
	for _, m := range group(parse(sources, &findings{}), &findings{}) {
		for a := range m.resources {
			name := schema.ProviderOf(a.kind)
			if _, ok := used[name]; !ok {
				used[name] = extract.Types{Resources: map[string]bool{}, Data: map[string]bool{}}
			}
			if a.data {
				used[name].Data[a.kind] = true
			} else {
				used[name].Resources[a.kind] = true
			}
		}
	}
	return used, nil
}

func firstDifference(path string, a, b []byte) hcl.Range {
	at := hcl.InitialPos
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			break
		}
		if a[i] == '\n' {
			at.Line++
		}
	}
	return hcl.Range{Filename: path, Start: at}
}
