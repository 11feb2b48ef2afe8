package extract

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"strings"

	"github.com/sentryagent/agentidp/deploy/terraform/check/schema"
)

// A binding is the generated TypeScript of one resource, data source or provider.
// Its classes say of every attribute whether it is computed, optional or required,
// and of which type it is; its interfaces say which ones are blocks.
type binding struct {
	classes    map[string]class
	interfaces map[string]string
}

type class struct{ base, text string }

var (
	classes    = regexp.MustCompile(`(?m)^export class (\w+) extends cdktf\.(\w+)`)
	interfaces = regexp.MustCompile(`(?m)^export interface (\w+)`)
	members    = regexp.MustCompile(`(?m)^  // (\w+) - computed: (true|false), optional: (true|false), required: (true|false)$`)
	held       = regexp.MustCompile(`= new (?:cdktf\.)?(\w+)\(this, "\w+"(?:, (true|false))?\)`)
	private    = regexp.MustCompile(`private _\w+\??: (.+); *\n`)
	getter     = regexp.MustCompile(`return (.+);`)
	item       = regexp.MustCompile(`return new (\w+)\(`)
	single     = regexp.MustCompile(`super\(terraformResource, terraformAttribute, (true|false)(, 0)?\)`)
	blocks     = regexp.MustCompile(`(?m)^  \* (\w+) block$`)
	fields     = regexp.MustCompile(`#(\w+) \w+#\w+\}(?:\n  \*.*)*\n  \*/\n  readonly \w+(\??): (.+);`)
	resource   = regexp.MustCompile(`tfResourceType = "(\w+)"`)
	release    = regexp.MustCompile(`providerVersion: '([\d.]+)'`)
)

// readBinding takes the TypeScript out of the source map at the end of a built file.
func readBinding(built []byte) (*binding, string, error) {
	_, encoded, ok := bytes.Cut(built[max(0, bytes.LastIndex(built, []byte("//# sourceMappingURL="))):], []byte("base64,"))
	if !ok {
		return nil, "", errors.New("no source map")
	}
	raw, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(encoded)))
	if err != nil {
		return nil, "", fmt.Errorf("source map: %w", err)
	}
	var source struct {
		SourcesContent []string `json:"sourcesContent"`
	}
	if err := json.Unmarshal(raw, &source); err != nil {
		return nil, "", fmt.Errorf("source map: %w", err)
	}
	if len(source.SourcesContent) != 1 {
		return nil, "", fmt.Errorf("a source map of %d files", len(source.SourcesContent))
	}
	text := source.SourcesContent[0]
	b := &binding{map[string]class{}, map[string]string{}}
	for name, section := range sections(text, classes) {
		b.classes[name] = class{classes.FindStringSubmatch(section)[2], section}
	}
	maps.Insert(b.interfaces, maps.All(sections(text, interfaces)))
	return b, text, nil
}

// sections cuts text at what the expression matches; a section ends with its brace.
func sections(text string, starts *regexp.Regexp) map[string]string {
	found := map[string]string{}
	for _, at := range starts.FindAllStringSubmatchIndex(text, -1) {
		section, _, _ := strings.Cut(text[at[0]:], "\n}\n")
		found[text[at[2]:at[3]]] = section
	}
	return found
}

// body reads one class; takes is the interface of its arguments.
func (b *binding) body(name, takes string) (schema.Body, error) {
	s := schema.Body{Attributes: map[string]string{}, Objects: map[string]*schema.Nested{}, Blocks: map[string]*schema.Nested{}}
	isBlock := map[string]bool{}
	for _, match := range blocks.FindAllStringSubmatch(b.interfaces[takes], -1) {
		isBlock[match[1]] = true
	}
	text := b.classes[name].text
	marks := members.FindAllStringSubmatchIndex(text, -1)
	for i, at := range marks {
		end := len(text)
		if i+1 < len(marks) {
			end = marks[i+1][0]
		}
		attribute, mode := text[at[2]:at[3]], "optional"
		switch {
		case text[at[8]:at[9]] == "true":
			mode = "required"
		case text[at[6]:at[7]] == "false":
			mode = "computed"
		case text[at[4]:at[5]] == "true":
			mode = "optional-computed"
		}
		kind, object, err := b.member(text[at[1]:end])
		if err != nil {
			return s, fmt.Errorf("%s.%s: %w", name, attribute, err)
		}
		switch {
		case object == nil:
			s.Attributes[attribute] = mode + " " + kind
		case isBlock[attribute]:
			object.Mode, s.Blocks[attribute] = mode, object
		default:
			object.Mode, s.Objects[attribute] = mode, object
		}
	}
	return s, nil
}

// member reads the lines below the comment of one attribute: its type, or the
// objects that it holds.
func (b *binding) member(text string) (string, *schema.Nested, error) {
	if match := held.FindStringSubmatch(text); match != nil {
		return b.held(match[1], match[2] == "true")
	}
	match := getter.FindStringSubmatch(text)
	if match == nil {
		return "", nil, errors.New("no getter")
	}
	if kind := getterType(match[1]); kind != "" {
		return kind, nil, nil
	}
	if match := private.FindStringSubmatch(text); match != nil {
		return b.written(match[1])
	}
	return "", nil, fmt.Errorf("getter %q", match[1])
}

func getterType(code string) string {
	inner := strings.TrimPrefix(strings.TrimPrefix(code, "cdktf.Token.asNumberList("), "cdktf.Token.asAny(")
	set := strings.HasPrefix(inner, "cdktf.Fn.tolist(")
	method, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(inner, "cdktf.Fn.tolist("), "this."), "(")
	kind := map[string]string{
		"getStringAttribute": "string", "getNumberAttribute": "number", "getBooleanAttribute": "bool", "interpolationForAttribute": "any",
		"getListAttribute": "list(string)", "getNumberListAttribute": "list(number)",
		"getStringMapAttribute": "map(string)", "getNumberMapAttribute": "map(number)", "getBooleanMapAttribute": "map(bool)",
	}[method]
	if set {
		return strings.Replace(kind, "list(", "set(", 1)
	}
	return kind
}

func (b *binding) held(name string, set bool) (string, *schema.Nested, error) {
	if kind, ok := map[string]string{"StringMap": "map(string)", "NumberMap": "map(number)", "BooleanMap": "map(bool)", "AnyMap": "map(any)", "StringMapList": "list(map(string))"}[name]; ok {
		return kind, nil, nil
	}
	of := b.classes[name]
	n := &schema.Nested{Nesting: map[string]string{"ComplexList": "list", "ComplexMap": "map"}[of.base]}
	if n.Nesting == "list" && set {
		n.Nesting = "set"
	}
	switch of.base {
	case "ComplexList", "ComplexMap":
		match := item.FindStringSubmatch(of.text)
		if match == nil {
			return "", nil, fmt.Errorf("class %s holds nothing", name)
		}
		name = match[1]
	case "ComplexObject":
		match := single.FindStringSubmatch(of.text)
		if match == nil {
			return "", nil, fmt.Errorf("class %s: how many?", name)
		}
		n.Nesting = "single"
		if match[2] != "" {
			n.Max, n.Nesting = 1, map[string]string{"true": "set", "false": "list"}[match[1]]
		}
	default:
		return "", nil, fmt.Errorf("class %s is not known", name)
	}
	var err error
	n.Body, err = b.body(name, strings.TrimSuffix(name, "OutputReference"))
	return "", n, err
}

// written reads a TypeScript type, as a provider's own arguments have one.
func (b *binding) written(code string) (string, *schema.Nested, error) {
	code = strings.TrimSuffix(code, " | cdktf.IResolvable")
	kind, ok := map[string]string{
		"string": "string", "number": "number", "boolean": "bool",
		"string[]": "list(string)", "number[]": "list(number)", "{ [key: string]: string }": "map(string)",
	}[code]
	if ok {
		return kind, nil, nil
	}
	name, many := strings.CutSuffix(code, "[]")
	text, ok := b.interfaces[name]
	if !ok {
		return "", nil, fmt.Errorf("type %q", code)
	}
	n := &schema.Nested{Nesting: "list", Body: schema.Body{Attributes: map[string]string{}}}
	if !many {
		n.Max = 1
	}
	for _, match := range fields.FindAllStringSubmatch(text, -1) {
		kind, object, err := b.written(match[3])
		if err != nil || object != nil {
			return "", nil, fmt.Errorf("%s.%s: %s (%w)", name, match[1], match[3], err)
		}
		n.Attributes[match[1]] = map[string]string{"": "required ", "?": "optional "}[match[2]] + kind
	}
	return "", n, nil
}
