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

// fuzzHosts are what the tables of FuzzMatch split their patterns among.
var fuzzHosts = []string{"", "a", "a:8443"}

// hostsOf are the hosts whose routes a request may use, in order, in the plainest way.
func hostsOf(host string) []string {
	host = strings.ToLower(host)
	name, port, _ := strings.Cut(host, ":")
	name, port = strings.TrimSuffix(name, "."), strings.TrimLeft(port, "0")
	return []string{name + ":" + port, name, ""}
}

// landing is the pattern, behind its host, that the naive matcher takes.
func landing(patterns map[string][]string, host, path string) string {
	for _, host := range hostsOf(host) {
		if pattern := reference(patterns[host], path); pattern != "" {
			return host + pattern
		}
	}
	return ""
}

// FuzzMatch draws a table, whose patterns two numbers split among three hosts,
// and a request. The trie agrees with the naive matcher, or refuses as
// ambiguous; and whatever it lets through, no lenient reading of the path lands
// on another route of the same host.
func FuzzMatch(f *testing.F) {
	for _, path := range []string{"/", "/a", "/a/b/c", "/A/b", "/a%3Ab/c", "/a/", "/a%20", "/a/b%3Fx", "/x/y/z", "/a%23", "/a./b"} {
		f.Add(uint32(0xffffffff), uint32(0), "a", path)
		f.Add(uint32(0x5a5a5), uint32(0x3c3c3), "A.:08443", path)
		f.Add(uint32(0xffffffff), uint32(0x5a5a5), "b:8443", path)
	}
	f.Fuzz(func(t *testing.T, pick, split uint32, host, path string) {
		var file strings.Builder
		patterns := map[string][]string{}
		for i, pattern := range fuzzPatterns {
			if pick&(1<<i) != 0 {
				of := fuzzHosts[(split>>i&1)+(split>>((i+7)%32)&1)]
				patterns[of] = append(patterns[of], pattern)
				file.WriteString("\n- {path: '" + pattern + "', capability: a:b")
				if of != "" {
					file.WriteString(", host: '" + of + "'")
				}
				file.WriteString("}")
			}
		}
		if len(patterns) == 0 {
			return
		}
		var head guard.Head
		if guard.DefaultLimits.Check(guard.Request{
			Method: []byte("GET"), Target: []byte(path), Protocol: []byte("HTTP/1.1"), Fields: []byte("Host: " + host + "\r\n\r\n"),
		}, &head) != nil || strings.HasPrefix(host, "[") {
			return
		}
		table, err := route.Load([]byte("routes:" + file.String()))
		require.NoError(t, err)
		accepted, host := string(head.Path), string(head.Host)
		m := table.Match([]byte("GET"), head.Host, head.Path)
		if m.Outcome == route.Ambiguous {
			return
		}
		require.Equal(t, landing(patterns, host, accepted), m.ID, "%q at %q in %v", accepted, host, patterns)
		if m.Outcome != route.Found || strings.HasSuffix(m.ID, "/") {
			return // a pattern with a last slash says that the slash matters
		}
		for _, reading := range readings(accepted) {
			if reading == "" {
				reading = "/"
			}
			landed := landing(patterns, host, reading)
			if landed != "" && landed != m.ID && strings.ContainsAny(m.ID, "{*") {
				require.Equal(t, m.ID, landed, "%q read as %q at %q in %v", accepted, reading, host, patterns)
			}
		}
	})
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(notes))
	f.Add([]byte("routes: [{path: &a /x, capability: *a}]"))
	f.Add([]byte(everything))
	f.Fuzz(func(t *testing.T, file []byte) {
		table, err := route.Load(file)
		if err != nil {
			require.Nil(t, table)
			return
		}
		for _, r := range table.Routes() {
			require.NotEmpty(t, r.Capability)
			require.Equal(t, r.Host+r.Path, r.ID)
			require.Equal(t, byte('/'), r.Path[0])
			if !strings.ContainsAny(r.Path, "{*") {
				require.Equal(t, r, table.Match([]byte(r.Methods[0]), []byte(r.Host), []byte(r.Path)).Route)
			}
		}
	})
}
