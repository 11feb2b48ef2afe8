package upstream

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/sentryagent/agentidp/sidecar/internal/route"
)

// Set is the upstreams of one route table. It is immutable.
type Set struct {
	byName map[string]*Upstream // "" is the default one
}

// NewSet makes the upstreams that a table needs. Those that previous, which may
// be nil, has alike are shared with it: their connections and what is known of
// their servers stay. It opens nothing; ctx ends every connection.
func NewSet(ctx context.Context, o Options, table *route.Table, previous *Set) (*Set, error) {
	o = o.withDefaults()
	specs := table.Upstreams()
	if o.URL != "" {
		specs = append(slices.Clip(specs), route.Upstream{URLs: []string{o.URL}})
	} else if table.NeedsDefault() {
		return nil, fmt.Errorf("%w: a route names none, and there is no default", route.ErrUpstream)
	}
	set := &Set{byName: map[string]*Upstream{}}
	var errs []error
	for _, spec := range specs {
		if old := previous.Get(spec.Name); old != nil && reflect.DeepEqual(old.spec, spec) {
			set.byName[spec.Name] = old
			continue
		}
		u, err := newUpstream(ctx, &o, spec)
		errs = append(errs, err)
		set.byName[spec.Name] = u
	}
	if err := errors.Join(errs...); err != nil {
		set.Retire(previous, false)
		return nil, err
	}
	return set, nil
}

// Get finds an upstream by name, "" for the default; nil without one.
func (s *Set) Get(name string) *Upstream {
	if s == nil {
		return nil
	}
	return s.byName[name]
}

// Start watches the servers; without it one that goes out of use stays so.
func (s *Set) Start() {
	for _, u := range s.byName {
		u.start()
	}
}

// Retire ends what next, which may be nil, does not share. Exchanges under way
// go on. wait: until nothing watches any more.
func (s *Set) Retire(next *Set, wait bool) {
	for name, u := range s.byName {
		if next.Get(name) == u {
			continue
		}
		u.retire()
		if wait {
			u.tasks.Wait()
		}
	}
}

// Status is what is known of one server.
type Status struct {
	Upstream string
	URL      string
	Up       bool
	Error    string            // of the latest failure while it is down
	InFlight int64             // exchanges under way
	Failures map[string]uint64 // so far, by kind
}

// Status lists the servers by upstream, in the order of the file.
func (s *Set) Status() []Status {
	var all []Status
	for _, name := range slices.Sorted(maps.Keys(s.byName)) {
		for _, server := range s.byName[name].servers {
			all = append(all, server.status())
		}
	}
	return all
}

func (s *Server) status() Status {
	h := &s.health
	h.mu.Lock()
	defer h.mu.Unlock()
	status := Status{Upstream: s.upstream.Name(), URL: s.url, Up: h.up.Load(), InFlight: s.inFlight.Load(), Failures: map[string]uint64{}}
	for kind, name := range Failures {
		status.Failures[name] = h.failed[kind].Load()
	}
	if h.why != nil {
		status.Error = h.why.Error()
	}
	return status
}
