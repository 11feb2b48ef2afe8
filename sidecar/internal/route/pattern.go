package route

import (
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

var (
	parameterName = regexp.MustCompile(`\{[^/}]*\}`)
	parameter     = regexp.MustCompile(`^\{([A-Za-z_][A-Za-z0-9_]{0,63})\}$`)
	// A literal stands for itself in every spelling that the guard accepts:
	// pchar of RFC 3986 without escapes and ";".
	// A leading ":" would be another router's parameter, "*" its wildcard.
	literal = regexp.MustCompile(`^[A-Za-z0-9._~!$&'()+,=@-][A-Za-z0-9._~!$&'()+,=:@-]*$`)
)

// pattern reads a path pattern: segments that are literals or {name}, at the
// end perhaps "/**" or an empty segment (a last slash).
func (l *loader) pattern(key string, n *yaml.Node) string {
	pattern := l.text(key, n)
	if n == nil || pattern == "" {
		if n != nil && n.Tag == "!!str" {
			l.fail(key, "is empty")
		}
		return ""
	}
	if pattern[0] != '/' || len(pattern) > maxPattern {
		l.fail(key, "must start with / and be at most %d bytes", maxPattern)
		return ""
	}
	segments := strings.Split(pattern[1:], "/")
	var names []string
	for i, segment := range segments {
		last := i == len(segments)-1
		name := parameter.FindStringSubmatch(segment)
		switch {
		case segment == "":
			if !last {
				l.fail(key, "has an empty segment")
				return ""
			}
		case segment == "**":
			if !last {
				l.fail(key, "** is allowed as the last segment only")
				return ""
			}
		case name != nil:
			if slices.Contains(names, name[1]) {
				l.fail(key, "names {%s} twice", name[1])
				return ""
			}
			names = append(names, name[1])
		case !literal.MatchString(segment) || strings.Trim(segment, ".") == "":
			l.fail(key, "segment %q must be a literal of [A-Za-z0-9._~!$&'()+,=:@-] (no : in front), {name}, or ** at the end", segment)
			return ""
		}
	}
	return pattern
}
