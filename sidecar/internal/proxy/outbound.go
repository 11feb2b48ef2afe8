package proxy

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/sentryagent/agentidp/sidecar/internal/guard"
)

// appendHead writes the request that the upstream gets: the judged method and
// target, our own Host, the client's end-to-end fields as they came, then what
// only we may say. Nothing else of the inbound request is used.
func (x *exchange) appendHead(b []byte, authority string) []byte {
	h := &x.ctx.Request.Header
	b = append(append(append(b, h.Method()...), ' '), h.RequestURI()...)
	b = appendField(append(b, " HTTP/1.1\r\n"...), "Host", authority)
	for block := x.head.Fields; ; {
		name, value, rest, why := guard.Next(block)
		if why != nil || name == nil {
			break // the guard read the block to its end before
		}
		if x.head.Forwards(name) {
			b = append(append(append(append(b, name...), ": "...), value...), "\r\n"...)
		}
		block = rest
	}
	if x.match.Route.ForwardToken && x.head.Authorization != nil {
		b = append(append(append(b, "Authorization: "...), x.head.Authorization...), "\r\n"...)
	}
	b = x.appendIdentity(b)
	b = appendField(b, "X-Forwarded-For", x.record.Peer)
	b = appendField(b, "X-Forwarded-Host", x.record.Host)
	b = appendField(b, "X-Forwarded-Proto", x.proto)
	b = appendField(b, "X-Request-Id", x.record.RequestID)
	b = appendTrace(b, x.head.Traceparent)
	switch method := x.record.Method; {
	case x.head.Length == guard.Chunked:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	case x.head.Length > 0 || method == "POST" || method == "PUT" || method == "PATCH":
		b = append(strconv.AppendInt(append(b, "Content-Length: "...), x.head.Length, 10), "\r\n"...)
	}
	return append(b, "\r\n"...)
}

// appendIdentity says who asks; nothing on a public route.
func (x *exchange) appendIdentity(b []byte) []byte {
	if !x.known {
		return b
	}
	c := &x.identity.Claims
	b = appendField(b, "X-Agent-Id", c.Subject)
	b = appendField(b, "X-Agent-Organization", c.Organization)
	b = appendField(b, "X-Agent-Client-Id", c.ClientID)
	return appendField(b, "X-Agent-Scope", sortedScope(c.Scope))
}

func appendField(b []byte, name, value string) []byte {
	b = append(append(b, name...), ": "...)
	return append(append(b, value...), "\r\n"...)
}

// sortedScope is the scope in order, separated by single spaces; our issuer
// sends it so.
func sortedScope(scope string) string {
	members := strings.Fields(scope)
	if slices.IsSorted(members) && strings.Count(scope, " ") == len(members)-1 {
		return scope
	}
	slices.Sort(members)
	return strings.Join(slices.Compact(members), " ")
}

// appendTrace passes the client's trace context on, or starts one (W3C Trace
// Context, section 3.2).
func appendTrace(b, inbound []byte) []byte {
	b = append(b, "Traceparent: "...)
	if validTrace(inbound) {
		return append(append(b, inbound...), "\r\n"...)
	}
	var id [24]byte
	for i := 0; i < len(id); i += 8 {
		// Neither id may be all zero.
		binary.LittleEndian.PutUint64(id[i:], rand.Uint64()|1) //nolint:gosec // unique is enough
	}
	b = hex.AppendEncode(append(b, "00-"...), id[:16])
	b = hex.AppendEncode(append(b, '-'), id[16:])
	return append(b, "-00\r\n"...)
}

func validTrace(t []byte) bool {
	if len(t) != 55 || string(t[:3]) != "00-" || t[35] != '-' || t[52] != '-' {
		return false
	}
	zero := "00000000000000000000000000000000"
	return lowerHex(t[3:35]) && lowerHex(t[36:52]) && lowerHex(t[53:]) && string(t[3:35]) != zero && string(t[36:52]) != zero[:16]
}

func lowerHex(b []byte) bool {
	for _, c := range b {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
