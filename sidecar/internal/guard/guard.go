// Package guard refuses every request head and every upstream answer that two
// HTTP implementations could read in two ways, and knows which header fields
// never cross the proxy. It denies instead of rewriting: what it accepts is
// judged and forwarded byte for byte. Pure functions over bytes; accepting
// costs no allocation.
package guard

import (
	"bytes"
	"net/http"
)

// Refusal says why a head is not served. Values are package constants:
// compare by Reason, never change one.
type Refusal struct {
	Status int    // HTTP status for the client
	Reason string // stable lower_snake name of the check
}

// Error is the reason.
func (r *Refusal) Error() string { return r.Reason }

// What the guard refuses.
var (
	errVersion          = &Refusal{http.StatusHTTPVersionNotSupported, "http_version"}
	errMethod           = &Refusal{http.StatusMethodNotAllowed, "method_invalid"}
	errMethodForbidden  = &Refusal{http.StatusMethodNotAllowed, "method_not_allowed"}
	errTargetLong       = &Refusal{http.StatusRequestURITooLong, "uri_too_long"}
	errTargetForm       = &Refusal{http.StatusBadRequest, "target_form"}
	errTargetByte       = &Refusal{http.StatusBadRequest, "target_byte"}
	errTargetFragment   = &Refusal{http.StatusBadRequest, "target_fragment"}
	errPathBackslash    = &Refusal{http.StatusBadRequest, "path_backslash"}
	errPathParameter    = &Refusal{http.StatusBadRequest, "path_parameter"}
	errPathEmptySegment = &Refusal{http.StatusBadRequest, "path_empty_segment"}
	errPathDotSegment   = &Refusal{http.StatusBadRequest, "path_dot_segment"}
	errPathEscape       = &Refusal{http.StatusBadRequest, "path_escape"}
	errPathNonASCII     = &Refusal{http.StatusBadRequest, "path_non_ascii"}
	errFieldsLarge      = &Refusal{http.StatusRequestHeaderFieldsTooLarge, "header_too_large"}
	errFieldsMany       = &Refusal{http.StatusRequestHeaderFieldsTooLarge, "header_count"}
	errLineEnding       = &Refusal{http.StatusBadRequest, "line_ending"}
	errFold             = &Refusal{http.StatusBadRequest, "header_folded"}
	errName             = &Refusal{http.StatusBadRequest, "header_name"}
	errValue            = &Refusal{http.StatusBadRequest, "header_value"}
	errDuplicate        = &Refusal{http.StatusBadRequest, "header_duplicate"}
	errConnection       = &Refusal{http.StatusBadRequest, "connection_invalid"}
	errHost             = &Refusal{http.StatusBadRequest, "host_invalid"}
	errCredentials      = &Refusal{http.StatusBadRequest, "credential_duplicate"}
	errLength           = &Refusal{http.StatusBadRequest, "content_length_invalid"}
	errEncoding         = &Refusal{http.StatusBadRequest, "transfer_encoding_invalid"}
	errFraming          = &Refusal{http.StatusBadRequest, "framing_conflict"}
	errExpect           = &Refusal{http.StatusExpectationFailed, "expectation_failed"}
	errUpgrade          = &Refusal{http.StatusBadRequest, "upgrade_refused"}
	errHandshake        = &Refusal{http.StatusBadRequest, "websocket_handshake"}
	errHandshakeVersion = &Refusal{http.StatusUpgradeRequired, "websocket_version"}
)

// LineEnding is the refusal of a request line that ended in a bare LF, for
// the caller that watches the connection: the parsed head no longer shows it.
var LineEnding = errLineEnding

// Limits of a request head.
type Limits struct {
	TargetBytes int
	FieldBytes  int
	Fields      int
}

// DefaultLimits fit, together with the rest of the request line, into a read
// buffer of 24 KiB.
var DefaultLimits = Limits{TargetBytes: 8 << 10, FieldBytes: 15 << 10, Fields: 100}

// Request is a head as it came. Fields is the raw field block with the empty
// line that ends it.
type Request struct {
	Method, Target, Protocol, Fields []byte
}

// Lengths of a body that have no number.
const (
	Chunked    int64 = -1
	UntilClose int64 = -2 // of an answer only
)

// Head is what an accepted request head says. Slices are views into Request.
type Head struct {
	Fields         []byte // raw block, for Next
	Path, Query    []byte // Query is nil without "?"
	Host           []byte
	Authorization  []byte // nil without the field
	Length         int64  // of the body; Chunked
	Expect         bool   // 100-continue
	RequestID      []byte // the values below are the client's claim: trusted peers only
	ForwardedFor   []byte // last field line
	ForwardedProto []byte // X-Forwarded-Proto
	Traceparent    []byte
	WebSocket      bool   // an opening handshake (RFC 6455 section 4.2.1)
	Origin         []byte // nil without the field
	key            []byte // Sec-WebSocket-Key
	connection     options
}

// HasBody reports whether body bytes may follow the head.
func (h *Head) HasBody() bool { return h.Length != 0 }

// Closes reports whether the client asked to end the connection after the answer.
func (h *Head) Closes() bool { return h.connection.names(&closing) }

// Check fills h and returns nil, or says why the head is refused; h then holds
// what was understood so far.
func (l Limits) Check(r Request, h *Head) *Refusal {
	*h = Head{Fields: r.Fields}
	if why := line(r, l.TargetBytes); why != nil {
		return why
	}
	h.Path = r.Target
	if i := bytes.IndexByte(r.Target, '?'); i >= 0 {
		h.Path, h.Query = r.Target[:i], r.Target[i+1:]
	}
	if why := path(h.Path); why != nil {
		return why
	}
	if why := query(h.Query); why != nil {
		return why
	}
	return l.fields(r.Method, r.Fields, h)
}

// line judges version, method and the form of the target.
func line(r Request, longest int) *Refusal {
	if string(r.Protocol) != "HTTP/1.1" {
		return errVersion
	}
	switch string(r.Method) {
	case http.MethodTrace, http.MethodConnect:
		return errMethodForbidden
	}
	if !Method(r.Method) {
		return errMethod
	}
	if len(r.Target) > longest {
		return errTargetLong
	}
	if len(r.Target) == 0 || r.Target[0] != '/' {
		return errTargetForm // absolute, authority and asterisk form
	}
	return nil
}

// Method reports whether the name can be a method here: upper-case letters and
// dashes. Methods are case-sensitive (RFC 9110 section 9.1).
func Method[T string | []byte](name T) bool {
	for i := range len(name) {
		if c := name[i]; (c < 'A' || c > 'Z') && (c != '-' || i == 0) {
			return false
		}
	}
	return len(name) > 0 && len(name) <= 20
}
