package proxy

import (
	"bytes"
	"net/url"
	"slices"
	"strings"

	"github.com/sentryagent/agentidp/sidecar/internal/guard"
	"github.com/sentryagent/agentidp/sidecar/internal/rpc"
)

// rpcFields are the header fields that say how a message is to be read.
type rpcFields struct {
	mediaType, encoding []byte // nil without the field
	says                rpc.Fields
}

// maxRPCField bounds the values of fields that the protocols define.
const maxRPCField = 1 << 10

// readRPCFields takes them out of an accepted field block. Each may stand once,
// in its own spelling: a gateway that joins others to it would read another message.
func readRPCFields(block []byte) (f rpcFields, _ *refusal) {
	var session, version []byte
	known := []struct {
		name string
		into *[]byte
	}{
		{"content-type", &f.mediaType}, {"content-encoding", &f.encoding}, {"mcp-method", &f.says.Method}, {"mcp-name", &f.says.Name},
		{"mcp-session-id", &session}, {"mcp-protocol-version", &version},
	}
	for {
		name, value, rest, why := guard.Next(block)
		if why != nil || name == nil {
			return f, nil // the guard read the block to its end before
		}
		for _, k := range known {
			alike, exact := guard.Spells(name, k.name)
			switch {
			case !alike:
			case !exact, *k.into != nil, len(value) > maxRPCField:
				return f, spoken(rpc.ErrField, "")
			default:
				*k.into = append(make([]byte, 0, len(value)), value...) // never nil
			}
		}
		block = rest
	}
}

// calls reports whether a query has members of a message, which some servers of
// JSON-RPC take from there, or a name that cannot be read for certain.
func calls(query []byte) bool {
	for member := range strings.FieldsFuncSeq(string(query), func(c rune) bool { return c == '&' || c == ';' }) {
		name, _, _ := strings.Cut(member, "=")
		name, err := url.QueryUnescape(name)
		name, _, _ = strings.Cut(strings.TrimSpace(name), "[")
		if err != nil || slices.ContainsFunc([]string{"jsonrpc", "method", "params"}, func(known string) bool { return strings.EqualFold(name, known) }) {
			return true
		}
	}
	return false
}

// media demands JSON in UTF-8, as it is.
func (f *rpcFields) media() *refusal {
	kind, parameter, more := bytes.Cut(f.mediaType, []byte{';'})
	if more && !strings.EqualFold(strings.ReplaceAll(strings.Trim(string(parameter), " \t"), `"`, ""), "charset=utf-8") ||
		!strings.EqualFold(strings.TrimRight(string(kind), " \t"), "application/json") {
		return rpcMediaType
	}
	if f.encoding != nil {
		return rpcEncoding
	}
	return nil
}
