package proxy

import (
	"net/http"
	"strconv"

	"github.com/sentryagent/agentidp/sidecar/internal/guard"
)

// appendFields writes the fields of a request as HTTP/1.1 would put them, so
// that the guard reads what is forwarded. :authority is Host; a Host field that
// says otherwise stands beside it, as does a length that the stream belies.
// Cookies are one field already (RFC 9113 section 8.2.3).
func appendFields(b []byte, r *http.Request) []byte {
	b = appendField(b, "Host", r.Host)
	declared := int64(0)
	for name, values := range r.Header {
		switch {
		case name == "Host" && len(values) == 1 && values[0] == r.Host:
			continue
		case name == "Content-Length":
			declared, _ = strconv.ParseInt(values[0], 10, 64) // the guard refuses what is none
		}
		for _, value := range values {
			b = appendField(b, name, value)
		}
	}
	if r.ContentLength != declared {
		b = appendField(b, "Transfer-Encoding", "chunked")
	}
	return append(b, "\r\n"...)
}

// copyHeader takes the upstream's end-to-end fields over. net/http guesses no
// media type where the upstream named none.
func copyHeader(h http.Header, a *answered) {
	h["Content-Type"] = nil
	for block := a.Fields; ; {
		name, value, rest, why := guard.Next(block)
		if why != nil || name == nil {
			return // the guard read the block to its end before
		}
		if a.Returns(name) {
			key := http.CanonicalHeaderKey(string(name))
			h[key] = append(h[key], string(value))
		}
		block = rest
	}
}
