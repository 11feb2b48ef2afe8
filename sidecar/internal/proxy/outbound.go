package proxy

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"github.com/sentryagent/agentidp/shared/trace"
	"github.com/sentryagent/agentidp/sidecar/internal/guard"
)

// appendHead writes the request that the upstream gets: the judged method and
// target, our own Host, the client's end-to-end fields as they came, then what
// only we may say. Nothing else of the inbound request is used.
func (x *exchange) appendHead(b []byte, authority string) []byte {
	b = append(append(append(b, x.request.Method...), ' '), x.request.Target...)
	b = appendField(append(b, " HTTP/1.1\r\n"...), "Host", authority)
	b, traced := appendTrace(b, x.head.Traceparent)
	for block := x.head.Fields; ; {
		name, value, rest := guard.Again(block)
		if name == nil {
			break
		}
		if x.head.Forwards(name) && !x.withheld(name) && (traced || !bytes.EqualFold(name, tracestate)) {
			b = append(append(append(append(b, name...), ": "...), value...), "\r\n"...)
		}
		block = rest
	}
	if x.match.Route.ForwardToken && x.head.Authorization != nil {
		b = append(append(append(b, "Authorization: "...), x.head.Authorization...), "\r\n"...)
	}
	if x.head.WebSocket {
		b = x.head.AppendHandshake(b)
	}
	b = x.appendIdentity(b)
	b = appendField(b, "X-Forwarded-For", x.record.Peer)
	b = appendField(b, "X-Forwarded-Host", x.record.Host)
	b = appendField(b, "X-Forwarded-Proto", x.proto)
	b = appendField(b, "X-Request-Id", x.record.RequestID)
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
	for _, field := range x.identityFields() {
		b = appendField(b, field[0], field[1])
	}
	return b
}

// identityFields say who asks; their values are empty when nobody knows.
func (x *exchange) identityFields() [4][2]string {
	c := &x.identity.Claims
	return [...][2]string{
		{"X-Agent-Id", c.Subject}, {"X-Agent-Organization", c.Organization},
		{"X-Agent-Client-Id", c.ClientID}, {"X-Agent-Scope", sortedScope(c.Scope, x.identity.Scope)},
	}
}

func appendField(b []byte, name, value string) []byte {
	b = append(append(b, name...), ": "...)
	return append(append(b, value...), "\r\n"...)
}

// sortedScope is the scope in order, separated by single spaces; our issuer
// sends it so. members are shared.
func sortedScope(scope string, members []string) string {
	if slices.IsSorted(members) && strings.Count(scope, " ") == len(members)-1 {
		return scope
	}
	members = slices.Sorted(slices.Values(members))
	return strings.Join(slices.Compact(members), " ")
}

var tracestate = []byte(trace.HeaderState)

// appendTrace continues the client's trace with a span of ours, or starts one
// (W3C Trace Context, section 3.2). known: the client has one, and its
// tracestate goes with it.
func appendTrace(b, inbound []byte) (_ []byte, known bool) {
	b, known = trace.AppendNext(append(b, "Traceparent: "...), inbound)
	return append(b, "\r\n"...), known
}
