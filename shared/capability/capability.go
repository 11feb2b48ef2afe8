// Package capability is the grammar of authority: "resource:action" pairs that
// agents hold, tokens carry as OAuth scopes (RFC 6749 section 3.3) and routes demand.
package capability

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// MaxLength is the longest capability, in bytes.
const MaxLength = 128

// Wildcard stands for every resource or every action; only as a whole side.
const Wildcard = "*"

// Resources of the product's own management API. A wildcard resource never
// covers them, and only a holder can grant them.
var reserved = []string{
	"agents", "audit", "credentials", "decisions", "keys",
	"organizations", "policies", "revocations", "sidecars", "tokens",
}

// ErrSyntax is wrapped by every error of Parse and its callers.
var ErrSyntax = errors.New("capability must be resource:action, lower case [a-z0-9][a-z0-9._/-]* or * on each side, at most 128 bytes")

// Capability is one valid "resource:action" pair. The zero value covers nothing.
type Capability string

// Parse accepts exactly the grammar of ErrSyntax; it never trims or folds case.
func Parse(s string) (Capability, error) {
	resource, action, found := strings.Cut(s, ":")
	if !found || len(s) > MaxLength || !validSide(resource) || !validSide(action) {
		return "", fmt.Errorf("%w: %.140q", ErrSyntax, s)
	}
	return Capability(s), nil
}

func validSide(s string) bool {
	if s == Wildcard {
		return true
	}
	for i := range len(s) {
		c := s[i]
		alphanumeric := c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		if !alphanumeric && (i == 0 || c != '.' && c != '_' && c != '/' && c != '-') {
			return false
		}
	}
	return s != ""
}

// Resource is the part before the colon.
func (c Capability) Resource() string {
	resource, _, _ := strings.Cut(string(c), ":")
	return resource
}

// Action is the part after the colon.
func (c Capability) Action() string {
	_, action, _ := strings.Cut(string(c), ":")
	return action
}

// Reserved reports whether c is on one of the management API's own resources.
func (c Capability) Reserved() bool {
	_, found := slices.BinarySearch(reserved, c.Resource())
	return found
}

// Covers reports whether holding c is enough where other is demanded.
// notes:* covers notes:read, never the reverse; *:… never covers a reserved resource.
func (c Capability) Covers(other Capability) bool {
	if c == "" || other == "" {
		return false
	}
	if c.Action() != Wildcard && c.Action() != other.Action() {
		return false
	}
	if c.Resource() == Wildcard {
		return !other.Reserved()
	}
	return c.Resource() == other.Resource()
}

// ReservedAll lists resource:* for every reserved resource, sorted.
func ReservedAll() Set {
	all := make(Set, len(reserved))
	for i, resource := range reserved {
		all[i] = Capability(resource + ":" + Wildcard)
	}
	return all
}
