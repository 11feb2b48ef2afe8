package route

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sentryagent/agentidp/sidecar/internal/guard"
)

const (
	maxUpstreams = 64
	maxURLs      = 16
)

// DefaultUpstream names the upstream of routes that name none, where a name is
// needed: the settings define it.
const DefaultUpstream = "default"

// Upstream is an API that listens at one or more addresses, any of which will do.
type Upstream struct {
	Name           string
	URLs           []string      // http://host[:port] or https://host[:port]
	Health         Health        // zero: not asked
	Timeout        time.Duration // until an answer's head; 0: default
	MaxConnections int           // to each URL; 0: default
	HTTP2          bool          // what it speaks: over TLS by ALPN, else at once (h2c); false: HTTP/1.1
}

// Health is how an upstream is asked whether it can serve.
type Health struct {
	Path     string        // with its query; "": not asked
	Interval time.Duration // between questions
	Timeout  time.Duration // of each
}

// ErrUpstream is wrapped by errors about an upstream's URL.
var ErrUpstream = errors.New("upstream must be http://host[:port] or https://host[:port], without path, query or user")

// ParseUpstream reads the URL of an upstream.
func ParseUpstream(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, ErrUpstream // the parser's error quotes the text, which may hold a password
	}
	plain := u.User == nil && (u.Path == "" || u.Path == "/") && u.RawQuery == "" && !u.ForceQuery && u.Fragment == "" && u.Opaque == ""
	if u.Scheme != "http" && u.Scheme != "https" || !guard.ValidHost([]byte(u.Host)) || !plain {
		return nil, fmt.Errorf("%w: %q", ErrUpstream, u.Redacted())
	}
	return u, nil
}

var (
	upstreamName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	healthPath   = regexp.MustCompile(`^/[!-~]{0,511}$`)
)

// addresses reads the map of upstreams.
func (l *loader) addresses(n *yaml.Node) {
	if n == nil {
		return
	}
	if n.Kind != yaml.MappingNode || len(n.Content) == 0 || len(n.Content) > 2*maxUpstreams {
		l.fail("upstreams", "must be a mapping of 1 to %d names", maxUpstreams)
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name := n.Content[i].Value
		key := "upstreams." + name
		switch {
		case name == DefaultUpstream:
			l.fail(key, "is the name of the one that the settings define")
		case !upstreamName.MatchString(name):
			l.fail(key, "must be named by 1 to 63 of a-z, 0-9 and - inside")
		case l.known(name):
			l.fail(key, "stands twice")
		}
		l.upstreams = append(l.upstreams, l.upstream(key, name, resolve(n.Content[i+1])))
	}
	slices.SortFunc(l.upstreams, func(a, b Upstream) int { return strings.Compare(a.Name, b.Name) })
}

func (l *loader) known(upstream string) bool {
	return slices.ContainsFunc(l.upstreams, func(u Upstream) bool { return u.Name == upstream })
}

func (l *loader) upstream(key, name string, n *yaml.Node) Upstream {
	members := l.mapping(key, n, []string{"urls", "health", "timeout", "maxConnections", "protocol"})
	if members == nil {
		return Upstream{Name: name}
	}
	return Upstream{
		Name:           name,
		URLs:           l.urls(key+".urls", members["urls"]),
		Health:         l.health(key+".health", members["health"]),
		Timeout:        l.duration(key+".timeout", members["timeout"], minTimeout, maxTimeout, 0),
		MaxConnections: l.number(key+".maxConnections", members["maxConnections"], 65_535),
		HTTP2:          l.http2(key+".protocol", members["protocol"]),
	}
}

func (l *loader) http2(key string, n *yaml.Node) bool {
	if n == nil {
		return false
	}
	if n.Kind != yaml.ScalarNode || n.Value != "h1" && n.Value != "h2" {
		l.fail(key, "must be h1 or h2")
	}
	return n.Value == "h2"
}

func (l *loader) urls(key string, n *yaml.Node) (urls []string) {
	if n == nil || n.Kind != yaml.SequenceNode || len(n.Content) == 0 || len(n.Content) > maxURLs {
		l.fail(key, "must be a list of 1 to %d URLs", maxURLs)
		return nil
	}
	for i, member := range n.Content {
		item := fmt.Sprintf("%s[%d]", key, i)
		text := l.text(item, resolve(member))
		if text == "" {
			continue
		}
		u, err := ParseUpstream(text)
		if err != nil {
			l.fail(item, "%v", err)
			continue
		}
		text = u.Scheme + "://" + u.Host
		if slices.Contains(urls, text) {
			l.fail(item, "%s stands twice", text)
		}
		urls = append(urls, text)
	}
	return urls
}

// Bounds of durations in the file.
const (
	minTimeout, maxTimeout   = 100 * time.Millisecond, time.Hour
	minInterval, maxInterval = time.Second, time.Hour
	healthInterval           = 5 * time.Second
	healthTimeout            = 2 * time.Second
	maxPer                   = 24 * time.Hour
	maxRate                  = 1_000_000
)

func (l *loader) health(key string, n *yaml.Node) (h Health) {
	if n == nil {
		return h
	}
	members := l.mapping(key, n, []string{"path", "interval", "timeout"})
	if members == nil {
		return h
	}
	h.Path = l.text(key+".path", members["path"])
	if h.Path != "" && !healthPath.MatchString(h.Path) {
		l.fail(key+".path", "must be a path such as /healthz, of printable ASCII")
	}
	h.Interval = l.duration(key+".interval", members["interval"], minInterval, maxInterval, healthInterval)
	h.Timeout = l.duration(key+".timeout", members["timeout"], minTimeout, maxTimeout, min(healthTimeout, h.Interval))
	if h.Timeout > h.Interval {
		l.fail(key+".timeout", "must not be longer than interval")
	}
	return h
}

func (l *loader) rate(key string, n *yaml.Node) (r Rate) {
	if n == nil {
		return r
	}
	members := l.mapping(key, n, []string{"requests", "per"})
	if members == nil {
		return r
	}
	for _, name := range []string{"requests", "per"} {
		if members[name] == nil {
			l.fail(key+"."+name, "is missing")
		}
	}
	return Rate{
		Requests: l.number(key+".requests", members["requests"], maxRate),
		Per:      l.duration(key+".per", members["per"], time.Second, maxPer, 0),
	}
}

// duration reads a member such as 5s or 1m30s.
func (l *loader) duration(key string, n *yaml.Node, least, most, fallback time.Duration) time.Duration {
	if n == nil {
		return fallback
	}
	d, err := time.ParseDuration(n.Value)
	if n.Kind != yaml.ScalarNode || n.Tag != "!!str" || err != nil || d < least || d > most {
		l.fail(key, "must be a duration from %s to %s, such as 5s", least, most)
		return fallback
	}
	return d
}

// number reads a member from 1 to most; 0 without one.
func (l *loader) number(key string, n *yaml.Node, most int) int {
	if n == nil {
		return 0
	}
	value, err := strconv.Atoi(n.Value)
	if n.Kind != yaml.ScalarNode || n.Tag != "!!int" || err != nil || value < 1 || value > most {
		l.fail(key, "must be a number from 1 to %d", most)
		return 0
	}
	return value
}
