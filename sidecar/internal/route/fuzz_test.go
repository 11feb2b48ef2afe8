package route_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/sidecar/internal/guard"
	"github.com/sentryagent/agentidp/sidecar/internal/route"
)

// fits compares a pattern with a path in the plainest way, and rates each
// segment: 3 literal, 2 {name}, 1 /**. The end of
// both rates 4. /a/** is also the path /a.
func fits(pattern, path string) (rating []int, ok bool) {
	want, have := strings.Split(pattern[1:], "/"), strings.Split(path[1:], "/")
	for i, segment := range want {
		switch {
		case segment == "**":
			return append(rating, 1), true
		case i >= len(have):
			return nil, false
		case strings.HasPrefix(segment, "{"):
			if have[i] == "" {
				return nil, false
			}
			rating = append(rating, 2)
		case segment == have[i]:
			rating = append(rating, 3)
		default:
			return nil, false
		}
	}
	return append(rating, 4), len(want) == len(have)
}

// reference is the naive matcher: every pattern is tried, the best rating wins.
func reference(patterns []string, path string) string {
	best, bestRating := "", []int(nil)
	for _, pattern := range patterns {
		if rating, ok := fits(pattern, path); ok && (best == "" || slices.Compare(rating, bestRating) > 0) {
			best, bestRating = pattern, rating
		}
	}
	return best
}

// readings are what a lenient server may make of a path.
func readings(path string) []string {
	decoded, err := url.PathUnescape(path)
	if err != nil {
		decoded = path
	}
	out := []string{decoded}
	if cut := strings.IndexAny(decoded, "?#"); cut >= 0 {
		out = append(out, decoded[:cut])
	}
	for _, reading := range slices.Clone(out) {
		reading = strings.ReplaceAll(reading, "\\", "/")
		var kept []string
		for segment := range strings.SplitSeq(reading, "/") {
			segment, _, _ = strings.Cut(segment, ";")
			switch strings.TrimRight(segment, " ") {
			case "", ".":
			case "..":
				kept = kept[:max(0, len(kept)-1)]
			default:
				kept = append(kept, segment)
			}
		}
		out = append(out, "/"+strings.Join(kept, "/"))
	}
	for _, reading := range slices.Clone(out) {
		out = append(out, strings.ToLower(reading), strings.TrimRight(reading, "/. "))
	}
	return out
}

var fuzzPatterns = []string{
	"/", "/a", "/a/", "/a/b", "/a/{x}", "/a/{x}/c", "/a/b/**", "/a/**", "/{p}", "/{p}/b", "/{p}/{q}", "/{p}/{q}/**", "/**",
	"/a:b", "/a:b/c", "/{p}/{q}/c", "/b/{x}/", "/a.b", "/c/d", "/c/d/**",
}

// FuzzMatch draws a table and a path. The trie agrees with the naive matcher,
// or refuses as ambiguous; and whatever it lets through, no lenient reading of
// the path lands on another route.
func FuzzMatch(f *testing.F) {
	for _, path := range []string{"/", "/a", "/a/b/c", "/A/b", "/a%3Ab/c", "/a/", "/a%20", "/a/b%3Fx", "/x/y/z", "/a%23", "/a./b"} {
		f.Add(uint32(0xffffffff), path)
		f.Add(uint32(0x5a5a5), path)
	}
	f.Fuzz(func(t *testing.T, pick uint32, path string) {
		var file strings.Builder
		var patterns []string
		for i, pattern := range fuzzPatterns {
			if pick&(1<<i) != 0 {
				patterns = append(patterns, pattern)
				file.WriteString("\n- {path: '" + pattern + "', capability: a:b}")
			}
		}
		if patterns == nil {
			return
		}
		var head guard.Head
		if guard.DefaultLimits.Check(guard.Request{
			Method: []byte("GET"), Target: []byte(path), Protocol: []byte("HTTP/1.1"), Fields: []byte("Host: a\r\n\r\n"),
		}, &head) != nil {
			return
		}
		table, err := route.Load([]byte("routes:" + file.String()))
		require.NoError(t, err)
		accepted := string(head.Path)
		m := table.Match([]byte("GET"), head.Path)
		if m.Outcome == route.Ambiguous {
			return
		}
		require.Equal(t, reference(patterns, accepted), m.ID, "%q in %v", accepted, patterns)
		if m.Outcome != route.Found || strings.HasSuffix(m.ID, "/") {
			return // a pattern with a last slash says that the slash matters
		}
		for _, reading := range readings(accepted) {
			if reading == "" {
				reading = "/"
			}
			landed := reference(patterns, reading)
			if landed != "" && landed != m.ID && strings.ContainsAny(m.ID, "{*") {
				require.Equal(t, m.ID, landed, "%q read as %q in %v", accepted, reading, patterns)
			}
		}
	})
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(notes))
	f.Add([]byte("routes: [{path: &a /x, capability: *a}]"))
	f.Fuzz(func(t *testing.T, file []byte) {
		table, err := route.Load(file)
		if err != nil {
			require.Nil(t, table)
			return
		}
		for _, r := range table.Routes() {
			require.NotEmpty(t, r.Capability)
			require.Equal(t, byte('/'), r.ID[0])
			if !strings.ContainsAny(r.ID, "{*") {
				require.Equal(t, r, table.Match([]byte(r.Methods[0]), []byte(r.ID)).Route)
			}
		}
	})
}
