package route

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sentryagent/agentidp/shared/capability"
	"github.com/sentryagent/agentidp/sidecar/internal/guard"
)

// MaxFile is the largest route file, in bytes.
const MaxFile = 1 << 20

// maxPattern keeps a route ID within every label and record.
const maxPattern = 512

// Problems is every reason why a file does not load, each with its key path.
type Problems []string

// Error lists all, one a line.
func (p Problems) Error() string { return "route file:\n  " + strings.Join(p, "\n  ") }

// Methods of an entry that names none; HEAD comes with GET.
var defaultMethods = []string{"DELETE", "GET", "OPTIONS", "PATCH", "POST", "PUT"}

// Load reads a YAML route file strictly. The error is Problems, all of them at once.
func Load(file []byte) (*Table, error) {
	l := &loader{byShape: map[string]*shape{}}
	l.file(file)
	if len(l.problems) > 0 {
		return nil, l.problems
	}
	t := newTable(l.shapes, l.routes, l.upstreams)
	t.resources = l.resources
	return t, nil
}

type loader struct {
	problems  Problems
	upstreams []Upstream
	resources []*Resource
	routes    []*Route
	shapes    []*shape
	byShape   map[string]*shape // by host and pattern with nameless parameters
}

func (l *loader) fail(key, format string, args ...any) {
	l.problems = append(l.problems, key+": "+fmt.Sprintf(format, args...))
}

func (l *loader) file(file []byte) {
	if len(file) > MaxFile {
		l.fail("file", "must be at most %d bytes", MaxFile)
		return
	}
	decoder := yaml.NewDecoder(bytes.NewReader(file))
	var document yaml.Node
	if err := decoder.Decode(&document); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("is empty")
		}
		l.fail("file", "%v", err)
		return
	}
	if err := decoder.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		l.fail("file", "must hold one YAML document")
		return
	}
	members := l.mapping("file", document.Content[0], []string{"routes", "upstreams", "resources"})
	l.addresses(members["upstreams"])
	entries, listed := members["routes"]
	if !listed {
		l.fail("routes", "is missing")
		return
	}
	if entries.Kind != yaml.SequenceNode || len(entries.Content) == 0 {
		l.fail("routes", "must be a list with at least one route")
		return
	}
	for i, entry := range entries.Content {
		l.entry(fmt.Sprintf("routes[%d]", i), resolve(entry))
	}
	l.protected(members["resources"])
	if len(l.problems) == 0 {
		l.join()
	}
}

// resolve follows an alias to its anchor.
func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// mapping lists the members of n. Unknown and repeated keys are problems.
func (l *loader) mapping(key string, n *yaml.Node, known []string) map[string]*yaml.Node {
	if n.Kind != yaml.MappingNode {
		l.fail(key, "must be a mapping")
		return nil
	}
	members := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name := n.Content[i].Value
		path := name
		if key != "file" {
			path = key + "." + name
		}
		switch {
		case !slices.Contains(known, name):
			l.fail(path, "unknown key; known are %s", strings.Join(known, ", "))
		case members[name] != nil:
			l.fail(path, "stands twice")
		default:
			members[name] = resolve(n.Content[i+1])
		}
	}
	return members
}

func (l *loader) entry(key string, n *yaml.Node) {
	before := len(l.problems)
	members := l.mapping(key, n, []string{"methods", "path", "capability", "forwardToken", "onStale", "mode", "host", "upstream", "timeout", "rateLimit", "protocol", "rpc", "websocket", "origins"})
	if members == nil {
		return
	}
	r := &Route{
		Host:         l.host(key+".host", members["host"]),
		Path:         l.pattern(key+".path", members["path"]),
		Methods:      l.methods(key+".methods", members["methods"]),
		Capability:   l.capability(key+".capability", members["capability"]),
		ForwardToken: l.boolean(key+".forwardToken", members["forwardToken"]),
		LastGood:     l.only(key+".onStale", members["onStale"], "last_good"),
		Shadow:       l.only(key+".mode", members["mode"], "shadow"),
		Upstream:     l.named(key+".upstream", members["upstream"]),
		Timeout:      l.duration(key+".timeout", members["timeout"], minTimeout, maxTimeout, 0),
		Rate:         l.rate(key+".rateLimit", members["rateLimit"]),
	}
	l.rpc(key, members["protocol"], members["rpc"], members["methods"], r)
	l.webSocket(key, members, r)
	r.ID = r.Host + r.Path
	if len(r.ID) > maxPattern {
		l.fail(key+".path", "must be at most %d bytes, with the host", maxPattern)
	}
	if len(l.problems) == before {
		l.add(key, r)
	}
}

// add files r under its shape. Two patterns of one shape must be the same
// text, and their methods must not meet.
func (l *loader) add(key string, r *Route) {
	nameless := r.Host + parameterName.ReplaceAllString(r.Path, "{}")
	s := l.byShape[nameless]
	if s == nil {
		s = &shape{id: r.ID, host: r.Host, pattern: r.Path, wild: strings.ContainsAny(r.Path, "{*")}
		l.byShape[nameless] = s
		l.shapes = append(l.shapes, s)
	}
	if s.pattern != r.Path {
		l.fail(key+".path", "%s and %s have the same shape: write them alike", r.ID, s.id)
		return
	}
	for _, other := range s.routes {
		for _, method := range r.Methods {
			if slices.Contains(other.Methods, method) {
				l.fail(key, "%s %s is routed twice", method, r.ID)
			}
		}
	}
	s.routes = append(s.routes, r)
	l.routes = append(l.routes, r)
}

// named reads the name of an upstream that the file defines.
func (l *loader) named(key string, n *yaml.Node) string {
	if n == nil {
		return ""
	}
	name := l.text(key, n)
	if n.Tag == "!!str" && !l.known(name) {
		l.fail(key, "must be a name under upstreams")
	}
	return name
}

func (l *loader) text(key string, n *yaml.Node) string {
	if n == nil {
		l.fail(key, "is missing")
		return ""
	}
	if n.Kind != yaml.ScalarNode || n.Tag != "!!str" {
		l.fail(key, "must be a string")
		return ""
	}
	return n.Value
}

func (l *loader) boolean(key string, n *yaml.Node) (value bool) {
	if n == nil {
		return false
	}
	if n.Kind != yaml.ScalarNode || n.Tag != "!!bool" || n.Decode(&value) != nil {
		l.fail(key, "must be true or false")
	}
	return value
}

// only reports whether the member is there; it has one value.
func (l *loader) only(key string, n *yaml.Node, value string) bool {
	if n == nil {
		return false
	}
	if n.Kind != yaml.ScalarNode || n.Tag != "!!str" || n.Value != value {
		l.fail(key, "must be %s", value)
		return false
	}
	return true
}

func (l *loader) capability(key string, n *yaml.Node) string {
	value := l.text(key, n)
	if value == "" || value == Public {
		return value
	}
	if _, err := capability.Parse(value); err != nil {
		l.fail(key, "must be %s or a capability: %v", Public, err)
	}
	return value
}

func (l *loader) methods(key string, n *yaml.Node) []string {
	if n == nil {
		return defaultMethods
	}
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		l.fail(key, "must be a list with at least one method")
		return nil
	}
	var methods []string
	for i, member := range n.Content {
		item := fmt.Sprintf("%s[%d]", key, i)
		method := l.text(item, resolve(member))
		switch {
		case method == "":
		case method == "TRACE" || method == "CONNECT":
			l.fail(item, "%s is never served", method)
		case !guard.Method(method):
			l.fail(item, "must be an upper-case method name")
		case slices.Contains(methods, method):
			l.fail(item, "%s stands twice", method)
		default:
			methods = append(methods, method)
		}
	}
	slices.Sort(methods)
	return methods
}
