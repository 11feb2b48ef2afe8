package extauthz

import (
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"github.com/sentryagent/agentidp/sidecar/internal/guard"
	"github.com/sentryagent/agentidp/sidecar/internal/proxy"
)

// HTTP versions that Envoy serves and hands on as HTTP/1.1 or newer. Their
// requests are judged in one form; any other stays what it is, and is refused.
var versions = []string{"HTTP/1.1", "HTTP/2", "HTTP/3"}

// What is refused whatever the guard says of it: what it judges may not be the
// request that Envoy holds.
var (
	errIncomplete = &guard.Refusal{Status: http.StatusBadRequest, Reason: "question_incomplete"}
	errMixed      = &guard.Refusal{Status: http.StatusBadRequest, Reason: "question_mixed"}
)

// question is what Envoy asks. names are those of the client's fields.
func question(in *auth.CheckRequest) (q proxy.Question, names []string) {
	r := in.GetAttributes().GetRequest().GetHttp()
	protocol := r.GetProtocol()
	if slices.Contains(versions, protocol) {
		protocol = "HTTP/1.1"
	}
	b := block{request: r, lines: guard.AppendField(nil, "Host", r.GetHost())}
	if r == nil {
		b.doubt = errIncomplete
	}
	b.read()
	q = proxy.Question{
		Request: guard.Request{
			Method: []byte(r.GetMethod()), Target: []byte(r.GetPath()), Protocol: []byte(protocol), Fields: append(b.lines, "\r\n"...),
		},
		Proto: "http", Doubt: b.doubt,
	}
	if r.GetScheme() == "https" {
		q.Proto = "https"
	}
	if client, err := netip.ParseAddr(in.GetAttributes().GetSource().GetAddress().GetSocketAddress().GetAddress()); err == nil {
		q.Client = client.Unmap()
	}
	return q, b.names
}

// block is a raw field block in the making.
type block struct {
	request *auth.AttributeContext_HttpRequest
	lines   []byte
	names   []string
	doubt   *guard.Refusal
}

// read takes the fields in whichever of the two forms Envoy sends; in both at
// once it never does.
func (b *block) read() {
	joined, raw := b.request.GetHeaders(), b.request.GetHeaderMap().GetHeaders()
	if len(joined) > 0 && len(raw) > 0 {
		b.doubt = errMixed
	}
	for _, name := range slices.Sorted(maps.Keys(joined)) {
		b.add(name, joined[name])
	}
	for _, field := range raw {
		value := string(field.GetRawValue())
		if value != "" && field.GetValue() != "" {
			b.doubt = errMixed
		}
		b.add(field.GetKey(), value+field.GetValue())
	}
}

// add takes one field. Envoy sends the pseudo-header fields along, which say
// again what the request's own members say.
func (b *block) add(name, value string) {
	if !strings.HasPrefix(name, ":") {
		// Envoy joins credentials at its door, in either form. None of ours has a comma.
		if first, second, two := strings.Cut(value, ","); two && strings.EqualFold(name, "authorization") {
			b.lines = guard.AppendField(b.lines, name, first)
			value = second
		}
		b.lines = guard.AppendField(b.lines, name, value)
		b.names = append(b.names, name)
		return
	}
	r, said := b.request, ""
	switch name {
	case ":method":
		said = r.GetMethod()
	case ":path":
		said = r.GetPath()
	case ":authority":
		said = r.GetHost()
	case ":scheme":
		said = r.GetScheme()
	}
	if said == "" || value != said {
		b.doubt = errMixed
	}
}
