package capability

import (
	"slices"
	"strings"
)

// Set is a sorted list of distinct capabilities. Build it with NewSet or ParseScope.
type Set []Capability

// NewSet parses, sorts and removes duplicates. The error names the first bad entry.
func NewSet(values []string) (Set, error) {
	set := make(Set, 0, len(values))
	for _, value := range values {
		c, err := Parse(value)
		if err != nil {
			return nil, err
		}
		set = append(set, c)
	}
	slices.Sort(set)
	return slices.Compact(set), nil
}

// ParseScope reads an OAuth scope value: capabilities separated by single
// spaces (RFC 6749 section 3.3). The empty string is the empty set.
func ParseScope(scope string) (Set, error) {
	if scope == "" {
		return Set{}, nil
	}
	return NewSet(strings.Split(scope, " "))
}

// Covers reports whether one member covers c.
func (s Set) Covers(c Capability) bool {
	return slices.ContainsFunc(s, func(held Capability) bool { return held.Covers(c) })
}

// CoversAll reports whether every member of other is covered.
func (s Set) CoversAll(other Set) bool {
	return !slices.ContainsFunc(other, func(c Capability) bool { return !s.Covers(c) })
}

// Missing lists the members of other that s does not cover.
func (s Set) Missing(other Set) Set {
	missing := Set{}
	for _, c := range other {
		if !s.Covers(c) {
			missing = append(missing, c)
		}
	}
	return missing
}

// Reserved is the part of s on reserved resources.
func (s Set) Reserved() Set {
	found := Set{}
	for _, c := range s {
		if c.Reserved() {
			found = append(found, c)
		}
	}
	return found
}

// Strings copies the members out, in order; never nil, so that JSON shows [].
func (s Set) Strings() []string {
	out := make([]string, len(s))
	for i, c := range s {
		out[i] = string(c)
	}
	return out
}

// String is the OAuth scope form: sorted, separated by one space.
func (s Set) String() string { return strings.Join(s.Strings(), " ") }
