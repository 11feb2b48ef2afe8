package route

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/sentryagent/agentidp/sidecar/internal/guard"
)

const maxOrigins = 64

// originScheme begins an origin in the one spelling that browsers use (RFC 6454 section 6.2).
var originScheme = regexp.MustCompile(`^[a-z][a-z0-9+.-]*://`)

// Admits reports whether a WebSocket handshake may come from the origin, which
// is nil without one: agents are no browsers and send none. Without a list only
// the origin of the request's own host may.
func (r *Route) Admits(origin, host []byte) bool {
	if origin == nil {
		return true
	}
	if len(r.Origins) > 0 {
		return slices.Contains(r.Origins, string(origin))
	}
	scheme := originScheme.FindIndex(origin)
	if scheme == nil {
		return false
	}
	from, _ := foldHost(nil, origin[scheme[1]:])
	to, _ := foldHost(nil, host)
	return bytes.Equal(from, to)
}

// webSocket reads what makes a route one for WebSockets.
func (l *loader) webSocket(key string, members map[string]*yaml.Node, r *Route) {
	r.WebSocket = l.boolean(key+".websocket", members["websocket"])
	r.Origins = l.origins(key+".origins", members["origins"])
	if r.WebSocket && len(r.Methods) > 0 && !slices.Contains(r.Methods, "GET") {
		l.fail(key+".websocket", "needs GET among the methods: a handshake is one")
	}
	if r.WebSocket && r.RPC != nil {
		l.fail(key+".websocket", "cannot stand with protocol: messages are not read")
	}
	if i := slices.IndexFunc(l.upstreams, func(u Upstream) bool { return u.Name == r.Upstream }); r.WebSocket && i >= 0 && l.upstreams[i].HTTP2 {
		l.fail(key+".upstream", "must speak HTTP/1.1 on a route with websocket: true")
	}
	if !r.WebSocket && members["origins"] != nil {
		l.fail(key+".origins", "is for routes with websocket: true")
	}
}

func (l *loader) origins(key string, n *yaml.Node) (origins []string) {
	if n == nil {
		return nil
	}
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 || len(n.Content) > maxOrigins {
		l.fail(key, "must be a list of 1 to %d origins", maxOrigins)
		return nil
	}
	for i, member := range n.Content {
		item := fmt.Sprintf("%s[%d]", key, i)
		member = resolve(member)
		origin := l.text(item, member)
		switch {
		case member.Tag != "!!str":
		case !validOrigin(origin):
			l.fail(item, "must be an origin as browsers send it, such as https://app.example.com or http://localhost:3000")
		case slices.Contains(origins, origin):
			l.fail(item, "%s stands twice", origin)
		default:
			origins = append(origins, origin)
		}
	}
	return origins
}

func validOrigin(origin string) bool {
	scheme := originScheme.FindString(origin)
	host := []byte(origin[len(scheme):])
	folded, name := foldHost(nil, host)
	return scheme != "" && bytes.Equal(folded, host) && guard.ValidHost(host) && validName(string(host[:name])) && validPort(string(host[name:]))
}
