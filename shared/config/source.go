package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// file applies the YAML file: one mapping of known keys, each once.
func (l *loader) file() {
	path := l.options.File
	if path == "" {
		return
	}
	content, err := read(path, maxFile)
	if err != nil {
		l.problem("config", "file "+path, err.Error())
		return
	}
	root, err := document(content)
	if err != nil {
		l.problem("config", "file "+path, err.Error())
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		source := fmt.Sprintf("file %s line %d", path, key.Line)
		if seen[key.Value] {
			l.problem(printable(key.Value), source, "is given twice")
			continue
		}
		seen[key.Value] = true
		l.member(key.Value, source, value)
	}
	for _, s := range l.settings {
		if s.secret && seen[s.key] && seen[s.key+"_file"] {
			l.problem(s.key, "file "+path, "is given both as a value and as a file")
		}
	}
}

// document parses exactly one mapping, an empty one for an empty file.
func document(content []byte) (*yaml.Node, error) {
	var node, rest yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	switch err := decoder.Decode(&node); {
	case errors.Is(err, io.EOF):
		return &yaml.Node{Kind: yaml.MappingNode}, nil
	case err != nil:
		return nil, errors.New(syntax(err))
	}
	if err := decoder.Decode(&rest); !errors.Is(err, io.EOF) {
		return nil, errors.New("must hold one YAML document")
	}
	root := node.Content[0] // a document has one
	switch {
	case root.Kind == yaml.MappingNode:
		return root, nil
	case root.Kind == yaml.ScalarNode && root.Tag == "!!null":
		return &yaml.Node{Kind: yaml.MappingNode}, nil
	}
	return nil, errors.New("must be a mapping of settings")
}

// syntax words a YAML error. One that quotes the file is cut: it may quote a secret.
func syntax(err error) string {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if strings.ContainsAny(text, "'\"`") {
		return "is not YAML"
	}
	return "is not YAML: " + text
}

// member applies one key of the YAML file.
func (l *loader) member(key, source string, value *yaml.Node) {
	s, fromFile, known := l.find(key)
	if !known {
		l.problem(printable(key), source, "is not a setting")
		return
	}
	values, text := scalars(value)
	switch {
	case text != "":
		l.problem(s.key, source, text)
	case fromFile && (value.Kind != yaml.ScalarNode || values[0] == ""):
		l.problem(s.key, source, "must name a file")
	case fromFile:
		l.setFromFile(s, source, values[0])
	case value.Kind == yaml.SequenceNode && !s.list():
		l.problem(s.key, source, "must be one value, not a list")
	case value.Kind == yaml.SequenceNode:
		if text := s.parseList(values); text != "" {
			l.problem(s.key, source, text)
			return
		}
		l.sources[s.key] = source
	default:
		l.set(s, source, values...)
	}
}

// printable quotes and cuts a key that is not of our form.
func printable(key string) string {
	if key == "" || len(key) > 80 || strings.Trim(key, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
		return fmt.Sprintf("%.80q", key)
	}
	return key
}

// find gives the setting of a YAML key, and whether the key names a file of it.
func (l *loader) find(key string) (s setting, fromFile, known bool) {
	for _, s := range l.settings {
		if s.key == key {
			return s, false, true
		}
		if s.secret && s.key+"_file" == key {
			return s, true, true
		}
	}
	return setting{}, false, false
}

// scalars gives the text of a scalar, or of each scalar of a list.
func scalars(node *yaml.Node) (values []string, problem string) {
	items := []*yaml.Node{node}
	if node.Kind == yaml.SequenceNode {
		items = node.Content
	}
	values = make([]string, 0, len(items))
	for _, item := range items {
		if item.Kind != yaml.ScalarNode {
			return nil, "must be a plain value or a list of plain values"
		}
		if item.Tag == "!!null" {
			return nil, "has no value; leave it out for the default"
		}
		values = append(values, item.Value)
	}
	return values, ""
}

// environment applies the variables and warns of unknown ones.
func (l *loader) environment() {
	variables := map[string]string{}
	for _, pair := range l.options.Environ {
		if name, value, found := strings.Cut(pair, "="); found {
			variables[name] = value
		}
	}
	for _, s := range l.settings {
		name := s.env(l.options.Prefix)
		value, file := variables[name], ""
		delete(variables, name)
		if s.secret {
			file = variables[name+"_FILE"]
			delete(variables, name+"_FILE")
		}
		switch {
		case value != "" && file != "":
			l.problem(s.key, "environment "+name, "is given both as a value and as a file")
		case value != "":
			l.set(s, "environment "+name, value)
		case file != "":
			l.setFromFile(s, "environment "+name+"_FILE", file)
		}
	}
	l.warn(variables)
}

// warn reports what is left under our prefix, in the order it was given.
func (l *loader) warn(left map[string]string) {
	if l.options.Warn == nil || l.options.Prefix == "" {
		return
	}
	for _, pair := range l.options.Environ {
		name, _, _ := strings.Cut(pair, "=")
		if _, unknown := left[name]; !unknown || !strings.HasPrefix(name, l.options.Prefix) {
			continue
		}
		if l.options.Prefix == PrefixIdP && strings.HasPrefix(name, PrefixSidecar) {
			continue
		}
		delete(left, name)
		l.options.Warn(fmt.Sprintf("environment variable %.100q is not a setting", name))
	}
}

// flags applies the flags that were given.
func (l *loader) flags() {
	if l.options.Flags == nil {
		return
	}
	for _, s := range l.settings {
		if s.secret {
			continue
		}
		flag := l.options.Flags.Lookup(s.flag())
		if flag == nil || !flag.Changed {
			continue
		}
		if v, ours := flag.Value.(*flagValue); ours {
			l.set(s, "flag --"+flag.Name, v.raw)
		}
	}
}

// Flags registers a flag for every setting of dst that is not a secret, with
// its usage and, as default, dst's present value. The flags only keep their
// text; Load parses it, so that all problems come at once. It panics on a
// struct that Load would refuse.
func Flags(fs *pflag.FlagSet, dst any) {
	settings, err := settingsOf(dst)
	if err != nil {
		panic(err)
	}
	for _, s := range settings {
		if s.secret {
			continue
		}
		flag := fs.VarPF(&flagValue{raw: s.text(), kind: s.kind}, s.flag(), "", s.usage)
		if s.kind == "bool" {
			flag.NoOptDefVal = "true"
		}
	}
}

// flagValue is a pflag.Value that keeps the text as it was given.
type flagValue struct{ raw, kind string }

func (v *flagValue) String() string       { return v.raw }
func (v *flagValue) Set(raw string) error { v.raw = raw; return nil }
func (v *flagValue) Type() string         { return v.kind }
