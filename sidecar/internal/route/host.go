package route

import (
	"bytes"
	"net"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sentryagent/agentidp/sidecar/internal/guard"
)

// levels are the patterns that a request's host may use, in the order in which
// they are asked: of its name and port, of its name, of any host. nil: none.
type levels [3]*level

func (t *Table) levels(host []byte) (l levels) {
	l[2] = t.hosts[""]
	if len(t.hosts) == 1 && l[2] != nil {
		return l
	}
	var buffer [264]byte
	folded, name := foldHost(buffer[:0], host)
	if name > 0 {
		l[1] = t.hosts[string(folded[:name])]
	}
	if name < len(folded) {
		l[0] = t.hosts[string(folded)]
	}
	return l
}

// foldHost appends the host in lower case, without the dot of a fully qualified
// name, and behind it its port, if any, as ":" and digits without leading zeros.
// The first name bytes of it are the host without the port.
func foldHost(dst, host []byte) (folded []byte, name int) {
	var port []byte
	if colon := bytes.LastIndexByte(host, ':'); colon > bytes.LastIndexByte(host, ']') {
		host, port = host[:colon], bytes.TrimLeft(host[colon+1:], "0")
	}
	for _, c := range bytes.TrimSuffix(host, []byte{'.'}) {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		dst = append(dst, c)
	}
	name = len(dst)
	if len(port) > 0 {
		dst = append(append(dst, ':'), port...)
	}
	return dst, name
}

func (l *levels) find(path []byte) *shape {
	for _, level := range l {
		if level == nil {
			continue
		}
		if found := level.exact.search(path[1:], false); len(found) > 0 {
			return found[0]
		}
	}
	return nil
}

func (l *levels) findLoose(path []byte) []*shape {
	for _, level := range l {
		if level == nil {
			continue
		}
		if found := level.loose.search(path[1:], false); len(found) > 0 {
			return found
		}
	}
	return nil
}

// host reads a route's host: the one spelling that requests are folded to.
func (l *loader) host(key string, n *yaml.Node) string {
	if n == nil {
		return ""
	}
	host := l.text(key, n)
	if n.Tag != "!!str" {
		return ""
	}
	folded, name := foldHost(nil, []byte(host))
	if string(folded) != host || !guard.ValidHost(folded) || !validName(host[:name]) || !validPort(host[name:]) {
		l.fail(key, "must be a host in lower case, perhaps with a port, such as api.example.com or api.example.com:8443")
		return ""
	}
	return host
}

func validPort(port string) bool {
	_, err := strconv.ParseUint(strings.TrimPrefix(port, ":"), 10, 16)
	return port == "" || err == nil
}

// validName refuses names that no client can mean.
func validName(name string) bool {
	if strings.HasPrefix(name, "[") {
		return net.ParseIP(strings.Trim(name, "[]")) != nil
	}
	return !strings.HasPrefix(name, ".") && !strings.Contains(name, "..")
}
