// Package route says what a request needs. A table is loaded once, is
// immutable, and is asked with the very bytes of the path that the guard
// accepted and the proxy will forward.
package route

import (
	"bytes"
	"slices"
	"strings"
)

// Public is the capability of a route that lets anyone through.
const Public = "public"

// Route is one entry of the file.
type Route struct {
	ID           string   // the path pattern
	Methods      []string // sorted, upper case; HEAD is implied by GET
	Capability   string   // "resource:action", or Public
	ForwardToken bool     // the upstream gets the Authorization field
	LastGood     bool     // onStale: last_good, serve on when revocations are stale
	Shadow       bool     // mode: shadow, what the policy denies is recorded and let pass
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
	ID      string // pattern that fits, also of NoMethod and Ambiguous
	Allow   string // methods of the path, for the Allow field
	Open    bool   // every route of the path is public
}

// shape is a path pattern with its routes, whose methods are disjoint.
type shape struct {
	pattern string
	routes  []*Route
	allow   string
	open    bool
	wild    bool // has a {name} or /**
}

// Table is safe for concurrent use.
type Table struct {
	routes []*Route
	exact  *node
	loose  *node // the same patterns, folded
}

// Routes lists the entries in file order. They must not be changed.
func (t *Table) Routes() []*Route { return t.routes }

// Match chooses the path first, then the method. Most specific wins, segment by
// segment from the left: literal, {name}, /**. It allocates nothing for paths
// up to 512 bytes.
func (t *Table) Match(method, path []byte) Match {
	s := t.exact.find(path)
	if s == nil {
		return Match{}
	}
	m := Match{ID: s.pattern, Allow: s.allow, Open: s.open}
	if s.wild && t.ambiguous(s, path) {
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

// node is one segment of a trie. Each is visited at most once in a search.
type node struct {
	literals map[string]*node
	param    *node
	ends     []*shape // patterns that end here; one in the exact trie
	rests    []*shape // patterns that go on with /**
}

func (n *node) find(path []byte) *shape {
	if found := n.search(path[1:], false); len(found) > 0 {
		return found[0]
	}
	return nil
}

// search walks on with rest, the path behind a slash; done says that the
// segment before was the last.
func (n *node) search(rest []byte, done bool) []*shape {
	if done {
		if len(n.ends) > 0 {
			return n.ends
		}
		return n.rests
	}
	segment, behind, more := bytes.Cut(rest, []byte{'/'})
	if next := n.literals[string(segment)]; next != nil {
		if found := next.search(behind, !more); len(found) > 0 {
			return found
		}
	}
	if n.param != nil && len(segment) > 0 {
		if found := n.param.search(behind, !more); len(found) > 0 {
			return found
		}
	}
	return n.rests
}

// insert adds a shape under its pattern; fold is applied to literals.
func (n *node) insert(pattern string, s *shape, fold func(string) string) {
	for segment := range strings.SplitSeq(pattern[1:], "/") {
		if segment == "**" {
			n.rests = append(n.rests, s)
			return
		}
		n = n.child(segment, fold)
	}
	n.ends = append(n.ends, s)
}

func (n *node) child(segment string, fold func(string) string) *node {
	if strings.HasPrefix(segment, "{") {
		if n.param == nil {
			n.param = &node{}
		}
		return n.param
	}
	if n.literals == nil {
		n.literals = map[string]*node{}
	}
	literal := fold(segment)
	if n.literals[literal] == nil {
		n.literals[literal] = &node{}
	}
	return n.literals[literal]
}

func newTable(shapes []*shape, routes []*Route) *Table {
	t := &Table{routes: routes, exact: &node{}, loose: &node{}}
	for _, s := range shapes {
		s.seal()
		t.exact.insert(s.pattern, s, func(literal string) string { return literal })
		loose := s.pattern
		if loose != "/" {
			loose = strings.TrimSuffix(loose, "/")
		}
		t.loose.insert(loose, s, func(literal string) string { return string(foldSegment(nil, []byte(literal))) })
	}
	return t
}
