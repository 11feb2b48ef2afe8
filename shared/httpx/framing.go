package httpx

import (
	"bytes"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/sentryagent/agentidp/shared/apierr"
)

const maxFields = 100

// The fields of which a second one would give a request two meanings.
const (
	host = iota
	contentLength
	transferEncoding
	contentType
	contentEncoding
	authorization
	expect
	singletons
)

var singletonNames = [singletons]string{
	"host", "content-length", "transfer-encoding", "content-type", "content-encoding", "authorization", "expect",
}

// field is one singleton of a request, if there.
type field struct {
	given bool
	value []byte
}

// framing refuses what fasthttp accepts though two readers could see two
// different requests in it (RFC 9112 sections 2.2, 3.2, 5 and 6.3): other
// versions than 1.0 and 1.1, targets that are not a path in ASCII, bare LF, folded lines,
// names that are not tokens, repeated singletons, a length next to a transfer
// coding, codings other than chunked. nil if the request is plain.
func framing(header *fasthttp.RequestHeader) *apierr.Error {
	if version := string(header.Protocol()); version != "HTTP/1.1" && version != "HTTP/1.0" {
		return malformed("http_version")
	}
	if !validTarget(header.RequestURI()) {
		return malformed("request_target")
	}
	seen, refusal := fields(header.RawHeaders())
	switch {
	case refusal != nil:
		return refusal
	case seen[contentLength].given && seen[transferEncoding].given:
		return malformed("length_and_transfer_encoding")
	case seen[transferEncoding].given && !equal(seen[transferEncoding].value, "chunked"):
		return malformed("transfer_encoding")
	case !validHost(seen[host].value):
		return malformed("host")
	case seen[expect].given && !equal(seen[expect].value, "100-continue"):
		return apierr.New(apierr.ExpectationFailed, "the only expectation met is 100-continue").WithReason("expectation")
	}
	return nil
}

// fields finds the singletons, or refuses the header's lines. Values are parts of raw.
func fields(raw []byte) (seen [singletons]field, refusal *apierr.Error) {
	for count := 0; len(raw) > 0; count++ {
		line, rest, found := bytes.Cut(raw, []byte("\r\n"))
		if !found || bytes.IndexByte(line, '\n') >= 0 {
			return seen, malformed("line_ending")
		}
		if raw = rest; len(line) == 0 {
			break
		}
		name, value, found := bytes.Cut(line, []byte(":"))
		if !found || !token(name) {
			return seen, malformed("field_name") // a folded line begins with a space, so it ends here too
		}
		if count == maxFields {
			return seen, apierr.New(apierr.HeaderTooLarge, "the request header has more than %d fields", maxFields).WithReason("header_too_large")
		}
		for i, singleton := range singletonNames {
			if !equal(name, singleton) {
				continue
			}
			if seen[i].given {
				return seen, malformed("repeated_field")
			}
			seen[i] = field{true, bytes.Trim(value, " \t")}
		}
	}
	return seen, nil
}

// equal compares without case, on lower-case ASCII.
func equal(b []byte, lower string) bool {
	return len(b) == len(lower) && strings.EqualFold(string(b), lower)
}

// token reports whether b is a token of RFC 9110 section 5.6.2.
func token(b []byte) bool {
	for _, c := range b {
		alphanumeric := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !alphanumeric && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return len(b) > 0
}

// validTarget accepts a path and query of printable ASCII, with "%" only before two hex digits.
func validTarget(target []byte) bool {
	for i, c := range target {
		escape := c != '%' || i+2 < len(target) && unhex(target[i+1]) >= 0 && unhex(target[i+2]) >= 0
		if c <= ' ' || c >= 0x7f || c == '#' || !escape {
			return false
		}
	}
	return len(target) > 0 && target[0] == '/'
}

// validHost accepts a registered name, an IPv4 address or a bracketed IPv6
// address, with a port or none. HTTP/1.0 may go without; fasthttp demands one of 1.1.
func validHost(host []byte) bool {
	for _, c := range host {
		alphanumeric := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !alphanumeric && strings.IndexByte("-._:[]", c) < 0 {
			return false
		}
	}
	return true
}
