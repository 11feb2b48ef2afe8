// Package route says what a request needs. A table is loaded once, is
// immutable, and is asked with the very bytes of host and path that the guard
// accepted; the path is what the proxy will forward.
package route

import (
	"slices"
	"strings"
	"time"
)

// Public is the capability of a route that lets anyone through.
const Public = "public"

// Route is one entry of the file.
type Route struct {
	ID           string        // the host, if any, and the path pattern
	Host         string        // lower case, perhaps with a port; "" is any
	Path         string        // the pattern
	Methods      []string      // sorted, upper case; HEAD is implied by GET
	Capability   string        // "resource:action", or Public
	ForwardToken bool          // the upstream gets the Authorization field
	LastGood     bool          // onStale: last_good, serve on when revocations are stale
	Shadow       bool          // mode: shadow, what the policy denies is recorded and let pass
	Upstream     string        // name of one of the table's; "" is the default one
	Timeout      time.Duration // until the answer's head; 0: the upstream's
	Rate         Rate          // of each agent on this route
	WebSocket    bool          // websocket: true, GET may open a WebSocket
	Origins      []string      // from which browsers may; none: from the request's own host
	RPC          *RPC          // of a route with a protocol; nil: bodies are not read
	Resource     *Resource     // that the route lies under; nil: none
	Metadata     *Resource     // the route is not the file's: it answers with this one's metadata
}

// Rate is a bucket of Requests that fills again in Per. The zero value limits nothing.
type Rate struct {
	Requests int
	Per      time.Duration
}

// Public reports whether the route asks for no token.
func (r *Route) Public() bool { return r.Capability == Public }

// Outcome of a match.
type Outcome uint8

// The outcomes.
const (
	NoPath    Outcome = iota // no pattern fits the path
	NoMethod                 // the path is routed, but not for this method
	Ambiguous                // a server that reads paths leniently would take another route
	Found
)

// Match is the answer of a table. The zero value is NoPath.
type Match struct {
	Outcome Outcome
	Route   *Route // of Found
	ID      string // of the routes that fit, also of NoMethod and Ambiguous
	Allow   string // methods of the path, for the Allow field
	Open    bool   // every route of the path is public
}

// shape is a path pattern of one host with its routes, whose methods are disjoint.
type shape struct {
	id      string
	host    string
	pattern string
	routes  []*Route
	allow   string
	open    bool
	wild    bool // has a {name} or /**
}

// Table is safe for concurrent use.
type Table struct {
	routes    []*Route
	upstreams []Upstream
	resources []*Resource
	hosts     map[string]*level // by host, "" for routes without one
}

// level is the patterns of one host.
type level struct {
	exact node
	loose node // the same patterns, folded
}

// Routes lists the entries in file order. They must not be changed.
func (t *Table) Routes() []*Route { return t.routes }

// Upstreams lists those that the file defines, by name. They must not be changed.
func (t *Table) Upstreams() []Upstream { return t.upstreams }

// Resources lists those that the file defines. They must not be changed.
func (t *Table) Resources() []*Resource { return t.resources }

// NeedsDefault reports whether a route names no upstream.
func (t *Table) NeedsDefault() bool {
	return slices.ContainsFunc(t.routes, func(r *Route) bool { return r.Upstream == "" })
}

// Match chooses the host first, then the path, then the method. The host is the
// request's, with or without a port: routes of its name and port are asked
// first, then those of its name, then those without a host, and the first that
// have the path decide, also when they lack the method. Of paths the most
// specific wins, segment by segment from the left: literal, {name}, /**. It
// allocates nothing for paths up to 512 bytes.
func (t *Table) Match(method, host, path []byte) Match {
	levels := t.levels(host)
	s := levels.find(path)
	if s == nil {
		return Match{}
	}
	m := Match{ID: s.id, Allow: s.allow, Open: s.open}
	if s.wild && levels.ambiguous(s, path) {
		m.Outcome = Ambiguous
		return m
	}
	m.Route = s.route(method)
	m.Outcome = Found
	if m.Route == nil {
		m.Outcome = NoMethod
	}
	return m
}

func (s *shape) route(method []byte) *Route {
	var implied *Route
	for _, r := range s.routes {
		for _, m := range r.Methods {
			if m == string(method) {
				return r
			}
			if m == "GET" && string(method) == "HEAD" {
				implied = r
			}
		}
	}
	return implied
}

// seal computes what every answer about the shape repeats.
func (s *shape) seal() {
	var methods []string
	s.open = true
	for _, r := range s.routes {
		methods = append(methods, r.Methods...)
		s.open = s.open && r.Public()
	}
	if slices.Contains(methods, "GET") {
		methods = append(methods, "HEAD")
	}
	slices.Sort(methods)
	s.allow = strings.Join(slices.Compact(methods), ", ")
}

func newTable(shapes []*shape, routes []*Route, upstreams []Upstream) *Table {
	t := &Table{routes: routes, upstreams: upstreams, hosts: map[string]*level{}}
	for _, s := range shapes {
		s.seal()
		l := t.hosts[s.host]
		if l == nil {
			l = &level{}
			t.hosts[s.host] = l
		}
		l.exact.insert(s.pattern, s, func(literal string) string { return literal })
		loose := s.pattern
		if loose != "/" {
			loose = strings.TrimSuffix(loose, "/")
		}
		l.loose.insert(loose, s, func(literal string) string { return string(foldSegment(nil, []byte(literal))) })
	}
	return t
}
