// Package schema reads facts/*.json: what the resources and data sources of a provider take.
package schema

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/zclconf/go-cty/cty"
)

// A Package is an entry of facts/providers.json: which npm package says what the
// provider takes, and the digest that the package must have.
type Package struct {
	Name      string `json:"name"`
	Source    string `json:"source"`
	Package   string `json:"package"`
	Release   string `json:"release"`
	Integrity string `json:"integrity"`
}

// A Provider is what is known of one: facts/NAME.json.
type Provider struct {
	Source        string           `json:"source"`
	Version       string           `json:"version"`
	Package       string           `json:"package"`
	Configuration *Body            `json:"configuration"`
	Resources     map[string]*Body `json:"resources,omitempty"`
	Data          map[string]*Body `json:"data,omitempty"`
}

// A Body is what may stand between two braces. Attributes are written
// "required string", "optional list(number)", "computed bool", and
// "optional-computed string" for one that the provider sets if nobody else does.
type Body struct {
	Attributes map[string]string  `json:"attributes,omitempty"`
	Objects    map[string]*Nested `json:"objects,omitempty"` // attributes of objects
	Blocks     map[string]*Nested `json:"blocks,omitempty"`
}

type Nested struct {
	Mode    string `json:"mode"`          // required, optional, optional-computed or computed
	Nesting string `json:"nesting"`       // single, list, set or map
	Max     int    `json:"max,omitempty"` // 1, or 0 for any number
	Body
}

type Providers map[string]*Provider

func readJSON(file string, into any) error {
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

func Packages(dir string) ([]Package, error) {
	var list []Package
	return list, readJSON(filepath.Join(dir, "providers.json"), &list)
}

// Read leaves a provider out that no file is there for: no module uses it.
func Read(dir string) (Providers, error) {
	list, err := Packages(dir)
	if err != nil {
		return nil, err
	}
	known := Providers{}
	for _, p := range list {
		var f Provider
		err := readJSON(filepath.Join(dir, p.Name+".json"), &f)
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		known[p.Name] = &f
	}
	return known, nil
}

// ProviderOf is the provider that Terraform takes for a type without being told.
func ProviderOf(kind string) string {
	name, _, _ := strings.Cut(kind, "_")
	return name
}

// terraformData is built into Terraform; no provider has it.
var terraformData = &Body{Attributes: map[string]string{"id": "computed string", "input": "optional any", "output": "computed any", "triggers_replace": "optional any"}}

func (p Providers) Of(data bool, kind string) *Body {
	if kind == "terraform_data" && !data {
		return terraformData
	}
	f := p[ProviderOf(kind)]
	if f == nil {
		return nil
	}
	if data {
		return f.Data[kind]
	}
	return f.Resources[kind]
}

func Mode(attribute string) string {
	mode, _, _ := strings.Cut(attribute, " ")
	return mode
}

// TypeOf reads the type of an attribute's line.
func TypeOf(attribute string) cty.Type {
	_, name, _ := strings.Cut(attribute, " ")
	return Type(name)
}

func Type(name string) cty.Type {
	if outer, rest, ok := strings.Cut(name, "("); ok {
		inner := Type(strings.TrimSuffix(rest, ")"))
		switch outer {
		case "list":
			return cty.List(inner)
		case "set":
			return cty.Set(inner)
		case "map":
			return cty.Map(inner)
		}
	}
	switch name {
	case "string":
		return cty.String
	case "number":
		return cty.Number
	case "bool":
		return cty.Bool
	}
	return cty.DynamicPseudoType
}

// AttributeTypes are those of the object that an expression sees.
func (s *Body) AttributeTypes() map[string]cty.Type {
	types := map[string]cty.Type{}
	for name, attribute := range s.Attributes {
		types[name] = TypeOf(attribute)
	}
	for name, object := range s.Objects {
		types[name] = object.is(object.Object())
	}
	for name, block := range s.Blocks {
		types[name] = block.is(block.Object())
	}
	return types
}

func (s *Body) Object() cty.Type {
	return cty.Object(s.AttributeTypes())
}

// Argument is the type that a value for an attribute of objects must have.
func (n *Nested) Argument() cty.Type {
	types, optional := map[string]cty.Type{}, []string(nil)
	for name, attribute := range n.Attributes {
		types[name] = TypeOf(attribute)
		if Mode(attribute) != "required" {
			optional = append(optional, name)
		}
	}
	for name, object := range n.Objects {
		types[name] = object.Argument()
		if object.Mode != "required" {
			optional = append(optional, name)
		}
	}
	return n.is(cty.ObjectWithOptionalAttrs(types, optional))
}

func (n *Nested) is(object cty.Type) cty.Type {
	switch n.Nesting {
	case "list":
		return cty.List(object)
	case "set":
		return cty.Set(object)
	case "map":
		return cty.Map(object)
	}
	return object
}

// secret are the names of what a provider keeps to itself; the packages do not tell.
var secret = regexp.MustCompile(`^(.*_)?(password|secret_string|secret_data|secret_binary|auth_token|auth_string|private_key(_pem)?|client_secret|secret_key)(_wo)?$`)

// Secret says whether an attribute's value is one.
func Secret(attribute string) bool { return secret.MatchString(attribute) }
