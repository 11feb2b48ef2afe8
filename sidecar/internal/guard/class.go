package guard

import "bytes"

// class says who owns a header field on its way through the proxy.
type class uint8

const (
	endToEnd class = iota
	hopByHop       // of one connection (RFC 9110 section 7.6.1)
	rebuilt        // the proxy writes it itself, or it frames the message
	identity       // upstreams may trust it, so only the proxy may say it
)

// folded is a field name in the form that CGI-like gateways make of it: case
// and punctuation lost. Longer names are cut: no protected name is as long.
type folded struct {
	buf   [40]byte
	n     int
	exact bool // nothing but case was lost: the field's own spelling
}

func fold(name []byte) (f folded) {
	f.exact = true
	for i, c := range name {
		switch {
		case c >= 'A' && c <= 'Z':
			c |= 0x20
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-':
		default:
			c, f.exact = '-', false
		}
		if i == len(f.buf) {
			break
		}
		f.buf[i] = c
		f.n++
	}
	return f
}

func (f *folded) bytes() []byte { return f.buf[:f.n] }

// Prefixes whose whole family only the proxy may say.
var identityFamilies = [][]byte{
	[]byte("x-agent-"), []byte("x-agentidp-"), []byte("x-forwarded-"),
}

func (f *folded) class() class {
	switch string(f.bytes()) {
	case "connection", "keep-alive", "proxy-connection", "te", "trailer", "upgrade", "http2-settings",
		"proxy-authenticate", "proxy-authorization", "proxy-authentication-info", "proxy":
		return hopByHop
	case "host", "content-length", "transfer-encoding", "expect", "authorization", "x-request-id", "traceparent":
		return rebuilt
	case "x-agent", "x-agentidp", "x-forwarded", "forwarded", "forwarded-for", "x-forwarded-by",
		"x-original-url", "x-original-uri", "x-original-host", "x-original-method", "x-original-forwarded-for",
		"x-rewrite-url", "x-rewrite-uri", "x-http-method-override", "x-http-method", "x-method-override", "http-method-override",
		"x-real-ip", "x-client-ip", "client-ip", "true-client-ip", "x-cluster-client-ip", "cf-connecting-ip", "fastly-client-ip",
		"x-host", "x-http-host-override", "x-remote-user", "remote-user":
		return identity
	}
	for _, family := range identityFamilies {
		if bytes.HasPrefix(f.bytes(), family) {
			return identity
		}
	}
	if bytes.HasPrefix(f.bytes(), webSocketFamily) {
		return rebuilt
	}
	return endToEnd
}

// Forwards reports whether a field of the client goes to the upstream as it
// came. Authorization, Host, framing and tracing fields do not: the proxy
// writes its own.
func (h *Head) Forwards(name []byte) bool {
	f := fold(name)
	return f.class() == endToEnd && !h.connection.names(&f)
}

// Disguised reports whether the field is none that Forwards drops for its name,
// but that a gateway could take for one: where it cannot be removed, the request
// must be refused.
func Disguised(name []byte) bool {
	f := fold(name)
	return !f.exact && f.class() != endToEnd
}

// Returns reports whether a field of the upstream's answer goes to the client
// as it came. Content-Length and Date do not: the server writes its own.
func (a *Answer) Returns(name []byte) bool {
	f := fold(name)
	switch string(f.bytes()) {
	case "server", "date":
		return false
	case "authorization", "traceparent", "host", "expect", "sec-websocket-version":
		return !a.connection.names(&f)
	}
	return f.class() == endToEnd && !a.connection.names(&f)
}

// Trails reports whether a trailer of the upstream's goes to the client: one
// that could stand in the head and, late as it is, changes nothing that was
// read before (RFC 9110 section 6.5.1).
func (a *Answer) Trails(name []byte) bool {
	f := fold(name)
	switch string(f.bytes()) {
	case "content-type", "content-encoding", "content-range", "content-language", "content-location", "cache-control", "expires", "age", "vary",
		"location", "retry-after", "set-cookie", "www-authenticate", "authentication-info", "authorization", "host", "expect", "traceparent", "x-request-id":
		return false
	}
	return f.class() == endToEnd && a.Returns(name)
}

// options are the values of the Connection fields of one head.
type options struct {
	values [4][]byte
	n      int
}

func (o *options) add(value []byte) *Refusal {
	if o.n == len(o.values) {
		return errConnection
	}
	for rest := value; len(rest) > 0; {
		var option []byte
		option, rest = element(rest)
		if !token(option) && len(option) > 0 {
			return errConnection
		}
	}
	o.values[o.n] = value
	o.n++
	return nil
}

// names reports whether a Connection field nominates the name, in any spelling.
func (o *options) names(f *folded) bool {
	for _, rest := range o.values[:o.n] {
		for len(rest) > 0 {
			var option []byte
			option, rest = element(rest)
			if other := fold(option); bytes.Equal(other.bytes(), f.bytes()) {
				return true
			}
		}
	}
	return false
}

// element splits the first member off a comma-separated list (RFC 9110 section 5.6.1).
func element(list []byte) (member, rest []byte) {
	member, rest, _ = bytes.Cut(list, []byte{','})
	return trim(member), rest
}
