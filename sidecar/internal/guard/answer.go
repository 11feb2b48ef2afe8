package guard

import (
	"bytes"
	"errors"
)

// ErrAnswer is wrapped by nothing: it is the one error of ReadAnswer. The
// upstream's bytes are never part of it.
var ErrAnswer = errors.New("the upstream's answer is malformed or ambiguous")

// Answer is what an accepted response head says. Slices are views into the head.
type Answer struct {
	Fields     []byte // raw block, for Next
	Status     int
	Length     int64 // of the body; Chunked or UntilClose
	Close      bool  // the upstream ends the connection with this answer
	old        bool  // HTTP/1.0
	connection options
}

// Bodyless reports whether the answer to the method ends with its head
// (RFC 9112 section 6.3); Length is then an announcement only.
func (a *Answer) Bodyless(method []byte) bool {
	return string(method) == "HEAD" || a.Status < 200 || a.Status == 204 || a.Status == 304
}

// Certain reports whether client and server agree beyond doubt on where the
// answer to the method ends. RFC 9112 section 6.3 gives some answers no body
// whatever their fields say, but servers that keep the connection send one all the
// same: gunicorn passes on what the application yields behind a 204, or a HEAD, in
// a write of its own after the head. It looks like nothing followed, until the
// bytes arrive as the answer to somebody else's request. So an answer without a
// body must not announce any, nor leave it open; only a 304, which is made by
// what knows the rule, usually says nothing.
func (a *Answer) Certain(method []byte) bool {
	if a.Bodyless(method) {
		return a.Length == 0 || a.Length == UntilClose && a.Status == 304 && string(method) != "HEAD"
	}
	return a.Length != UntilClose
}

// ReadAnswer reads a whole response head, status line to empty line, strictly:
// CRLF only, no folding, one framing (RFC 9112 sections 4 to 6).
func ReadAnswer(head []byte, a *Answer) error {
	*a = Answer{Length: UntilClose}
	line, fields, found := bytes.Cut(head, []byte("\r\n"))
	if !found || !a.statusLine(line) {
		return ErrAnswer
	}
	a.Fields = fields
	for block := fields; ; {
		name, value, rest, why := Next(block)
		if why != nil {
			return ErrAnswer
		}
		if name == nil {
			if len(rest) > 0 {
				return ErrAnswer
			}
			return nil
		}
		f := fold(name)
		if f.exact && !a.field(f.bytes(), value) {
			return ErrAnswer
		}
		block = rest
	}
}

func (a *Answer) statusLine(line []byte) bool {
	if len(line) < 12 || len(line) > 12 && line[12] != ' ' {
		return false
	}
	switch string(line[:9]) {
	case "HTTP/1.1 ":
	case "HTTP/1.0 ":
		a.old, a.Close = true, true
	default:
		return false
	}
	for _, c := range line[9:12] {
		if c < '0' || c > '9' {
			return false
		}
		a.Status = a.Status*10 + int(c-'0')
	}
	for _, c := range line[12:] {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return a.Status >= 100 && a.Status <= 599
}

// field takes one field in its own spelling; false is a framing that has two readings.
func (a *Answer) field(name, value []byte) bool {
	switch string(name) {
	case "content-length":
		n := length(value)
		if a.Length != UntilClose || n < 0 {
			return false
		}
		a.Length = n
	case "transfer-encoding":
		if a.Length != UntilClose || a.old || !equal(value, "chunked") {
			return false
		}
		a.Length = Chunked
	case "connection":
		if a.connection.add(value) != nil {
			return false
		}
		a.Close = a.Close || a.connection.names(&closing)
	}
	return true
}

var closing = fold([]byte("close"))
