package route

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sentryagent/agentidp/shared/capability"
	"github.com/sentryagent/agentidp/sidecar/internal/guard"
)

// Resource is a protected resource with metadata of its own (RFC 9728), which
// are served below wellKnown.
type Resource struct {
	URL    string   // the resource identifier, as clients write it
	Name   string   // for people; "" is none
	Scopes []string // sorted: what clients are told to ask for; nil: nothing is said
	// Told is false when the file says which scopes those are: then a client
	// without a token is not told what the route alone needs.
	Told bool
	Meta string // URL of the metadata
	host string // of URL, without its port
	path string // of URL, "" instead of "/"
}

const (
	wellKnown    = "/.well-known/oauth-protected-resource"
	maxResources = 64
	maxName      = 128
)

func (l *loader) protected(n *yaml.Node) {
	if n == nil {
		return
	}
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 || len(n.Content) > maxResources {
		l.fail("resources", "must be a list of 1 to %d resources", maxResources)
		return
	}
	for i, entry := range n.Content {
		key := fmt.Sprintf("resources[%d]", i)
		members := l.mapping(key, resolve(entry), []string{"url", "name", "scopes"})
		if members == nil {
			continue
		}
		r := &Resource{Told: members["scopes"] == nil}
		l.resourceURL(key+".url", members["url"], r)
		if members["name"] != nil {
			r.Name = l.text(key+".name", members["name"])
			if len(r.Name) > maxName || strings.ContainsFunc(r.Name, func(c rune) bool { return c < ' ' || c == 0x7f }) {
				l.fail(key+".name", "must be one line of at most %d bytes", maxName)
			}
		}
		r.Scopes = l.scopes(key+".scopes", members["scopes"])
		l.resources = append(l.resources, r)
	}
}

func (l *loader) resourceURL(key string, n *yaml.Node, r *Resource) {
	text := l.text(key, n)
	if text == "" {
		return
	}
	u, err := url.Parse(text)
	plain := err == nil && u.User == nil && u.RawQuery == "" && !u.ForceQuery && u.Fragment == "" && u.Opaque == "" && u.RawPath == "" /* nor a wildcard */ && !strings.ContainsAny(text, "#%")
	if !plain || u.Scheme != "https" && u.Scheme != "http" || !guard.ValidHost([]byte(u.Host)) || strings.ToLower(u.Host) != u.Host {
		l.fail(key, "must be the https URL of the resource in lower case, without user, query and fragment") // the text may hold a password
		return
	}
	r.URL, r.host, r.path = text, u.Hostname(), strings.TrimSuffix(u.Path, "/")
	if r.path != "" {
		l.pattern(key, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: u.Path})
	}
	r.Meta = u.Scheme + "://" + u.Host + wellKnown + r.path
	if slices.ContainsFunc(l.resources, func(other *Resource) bool { return other.host == r.host && other.path == r.path }) {
		l.fail(key, "stands twice")
	}
}

func (l *loader) scopes(key string, n *yaml.Node) (scopes []string) {
	if n == nil {
		return nil
	}
	if n.Kind != yaml.SequenceNode || len(n.Content) > maxNeeds {
		l.fail(key, "must be a list of at most %d capabilities", maxNeeds)
		return nil
	}
	for i, member := range n.Content {
		item := fmt.Sprintf("%s[%d]", key, i)
		scope := l.text(item, resolve(member))
		if _, err := capability.Parse(scope); err != nil && scope != "" {
			l.fail(item, "must be a capability: %v", err)
		}
		scopes = append(scopes, scope)
	}
	slices.Sort(scopes)
	return slices.Compact(scopes)
}

// covers reports whether the route lies under the resource.
func (r *Resource) covers(route *Route) bool {
	name, _, _ := strings.Cut(route.Host, ":")
	return (route.Host == "" || name == r.host) && (route.Path == r.path || strings.HasPrefix(route.Path, r.path+"/"))
}

// join gives each route its resource, the one with the longest path; each
// resource that names no scopes those of its routes, and all of them theirs.
func (l *loader) join() {
	for _, route := range l.routes {
		for _, r := range l.resources {
			if r.covers(route) && (route.Resource == nil || len(r.path) > len(route.Resource.path)) {
				route.Resource = r
			}
		}
		if r := route.Resource; r != nil && r.Told && !route.Public() {
			r.Scopes = append(append(r.Scopes, route.Capability), route.RPC.fixed()...)
		}
	}
	for i, r := range l.resources {
		slices.Sort(r.Scopes)
		r.Scopes = slices.Compact(r.Scopes)
		l.publish(fmt.Sprintf("resources[%d]", i), r)
	}
}

// publish makes the metadata a public route: of any host, unless two resources
// have one path, and of every host whose own routes would be asked first.
func (l *loader) publish(key string, r *Resource) {
	var hosts []string
	if alone := func(other *Resource) bool { return other != r && other.path == r.path }; slices.ContainsFunc(l.resources, alone) {
		hosts = append(hosts, r.host)
	} else {
		hosts = append(hosts, "")
	}
	for _, route := range l.routes {
		if name, _, _ := strings.Cut(route.Host, ":"); name == r.host && !slices.Contains(hosts, route.Host) {
			hosts = append(hosts, route.Host)
		}
	}
	routes := l.routes // the file's: what follows is none of them
	for _, host := range hosts {
		path := wellKnown + r.path
		l.add(key, &Route{ID: host + path, Host: host, Path: path, Methods: []string{"GET"}, Capability: Public, Metadata: r})
	}
	l.routes = routes
}

// fixed lists what messages may need, as far as that does not depend on what they name.
func (r *RPC) fixed() (fixed []string) {
	if r == nil {
		return nil
	}
	for _, table := range []map[string]string{needs[r.Protocol], r.needs} {
		for _, need := range table {
			if need != "" && !strings.HasSuffix(need, nameHole) {
				fixed = append(fixed, need)
			}
		}
	}
	return fixed
}
