package route

import (
	"bytes"
	"slices"

	"github.com/sentryagent/agentidp/sidecar/internal/guard"
)

// ambiguous reports whether a server that decodes escapes, ignores case or a
// last slash, trims dots and spaces, or cuts at a decoded "?" or "#" would take
// a route other than s for the path, among those of the request's host. Only a
// pattern with a wildcard can swallow the near miss of another.
func (l *levels) ambiguous(s *shape, path []byte) bool {
	var buffer [512]byte
	loose := foldPath(buffer[:0], path)
	if !slices.Contains(l.findLoose(loose), s) {
		return true
	}
	if cut := bytes.IndexAny(loose, "?#"); cut >= 0 {
		var second [512]byte
		return !slices.Contains(l.findLoose(foldPath(second[:0], loose[:cut])), s)
	}
	return false
}

// foldPath appends the loosest reading of an accepted path.
func foldPath(dst, path []byte) []byte {
	for rest := path[1:]; ; {
		segment, behind, more := bytes.Cut(rest, []byte{'/'})
		if len(segment) == 0 && !more && len(dst) > 0 {
			return dst // the last slash
		}
		dst = foldSegment(append(dst, '/'), segment)
		if !more {
			return dst
		}
		rest = behind
	}
}

// foldSegment appends the segment decoded once, in lower case, without dots
// and spaces at its end.
func foldSegment(dst, segment []byte) []byte {
	start := len(dst)
	for i := 0; i < len(segment); i++ {
		c := segment[i]
		if c == '%' && i+2 < len(segment) {
			c = byte(guard.Unhex(segment[i+1])<<4 | guard.Unhex(segment[i+2]))
			i += 2
		}
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		dst = append(dst, c)
	}
	for len(dst) > start && (dst[len(dst)-1] == '.' || dst[len(dst)-1] == ' ') {
		dst = dst[:len(dst)-1]
	}
	return dst
}
