package guard

import (
	"bytes"
	"encoding/binary"
	"strconv"
)

// Bytes of a token (RFC 9110 section 5.6.2).
var tokenBytes = table("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~")

func token(name []byte) bool {
	for _, c := range name {
		if !tokenBytes[c] {
			return false
		}
	}
	return len(name) > 0
}

func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// Next splits the first line off a raw field block. At the empty line that
// ends the block, name is nil. Lines end in CRLF and are never folded.
func Next(block []byte) (name, value, rest []byte, why *Refusal) {
	end := bytes.IndexByte(block, '\n')
	if end < 1 || block[end-1] != '\r' {
		return nil, nil, nil, errLineEnding
	}
	text, rest := block[:end-1], block[end+1:]
	if len(text) == 0 {
		return nil, nil, rest, nil
	}
	if text[0] == ' ' || text[0] == '\t' {
		return nil, nil, nil, errFold
	}
	colon := bytes.IndexByte(text, ':')
	if colon < 0 || !token(text[:colon]) {
		return nil, nil, nil, errName
	}
	value = trim(text[colon+1:])
	if why := plain(value); why != nil {
		return nil, nil, nil, why
	}
	return text[:colon], value, rest, nil
}

// plain refuses control bytes but HTAB. Eight bytes at a time: values are long
// (a token is 700 bytes) and clean.
func plain(value []byte) *Refusal {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	for len(value) >= 8 {
		word := binary.LittleEndian.Uint64(value)
		del := word ^ ones*0x7f
		if ((word-ones*' ')&^word|(del-ones)&^del)&tops != 0 {
			break // a control or DEL is in the word; the loop below finds it
		}
		value = value[8:]
	}
	for _, c := range value {
		switch {
		case c == '\r':
			return errLineEnding
		case c < ' ' && c != '\t', c == 0x7f:
			return errValue
		}
	}
	return nil
}

// fields reads the block once: every rule that needs more than one field's
// bytes is held here.
func (l Limits) fields(method, block []byte, h *Head) *Refusal {
	if len(block) > l.FieldBytes {
		return errFieldsLarge
	}
	s := scan{head: h}
	for count := 0; ; count++ {
		name, value, rest, why := Next(block)
		if why != nil {
			return why
		}
		if name == nil {
			if len(rest) > 0 {
				return errLineEnding
			}
			return s.end(method)
		}
		if count == l.Fields {
			return errFieldsMany
		}
		f := fold(name)
		if f.exact {
			if why := s.field(f.bytes(), value); why != nil {
				return why
			}
		}
		block = rest
	}
}

// scan is one pass over the fields of a request.
type scan struct {
	head             *Head
	seen             uint32 // singletons met
	length, encoding bool
	h2c              bool   // HTTP2-Settings is there
	version          []byte // of WebSocket
}

// Fields that may stand once only, by bit. A second one means that two readers
// can take different ones.
const (
	sawHost uint32 = 1 << iota
	sawAuthorization
	sawContentType
	sawUserAgent
	sawExpect
	sawRange
	sawReferer
	sawOrigin
	sawFrom
	sawDate
	sawMaxForwards
	sawModifiedSince
	sawUnmodifiedSince
	sawUpgrade
	sawTraceparent
	sawRequestID
	sawWebSocketKey
	sawWebSocketVersion
)

// field takes one field in its own spelling; name is folded.
func (s *scan) field(name, value []byte) *Refusal {
	switch string(name) {
	case "host":
		s.head.Host = value
		return s.once(sawHost)
	case "authorization":
		if s.head.Authorization != nil {
			return errCredentials
		}
		s.head.Authorization = value
		return s.once(sawAuthorization)
	case "content-length":
		return s.contentLength(value)
	case "transfer-encoding":
		return s.transferEncoding(value)
	case "connection":
		return s.head.connection.add(value)
	case "upgrade":
		return s.upgrade(value)
	case "http2-settings":
		s.h2c = true
		return nil
	case "sec-websocket-key":
		s.head.key = value
		return s.once(sawWebSocketKey)
	case "sec-websocket-version":
		s.version = value
		return s.once(sawWebSocketVersion)
	case "origin":
		s.head.Origin = value
		return s.once(sawOrigin)
	case "expect":
		s.head.Expect = Continue(value)
		if !s.head.Expect {
			return errExpect
		}
		return s.once(sawExpect)
	case "x-forwarded-for":
		s.head.ForwardedFor = value
		return nil
	case "x-forwarded-proto":
		s.head.ForwardedProto = value
		return nil
	case "x-request-id":
		s.head.RequestID = value
		return s.once(sawRequestID)
	case "traceparent":
		s.head.Traceparent = value
		return s.once(sawTraceparent)
	}
	return s.once(singleton(name))
}

// Continue reports whether the value of Expect is the one expectation there is.
func Continue(value []byte) bool { return equal(value, "100-continue") }

func singleton(name []byte) uint32 {
	switch string(name) {
	case "content-type":
		return sawContentType
	case "user-agent":
		return sawUserAgent
	case "range":
		return sawRange
	case "referer":
		return sawReferer
	case "from":
		return sawFrom
	case "date":
		return sawDate
	case "max-forwards":
		return sawMaxForwards
	case "if-modified-since":
		return sawModifiedSince
	case "if-unmodified-since":
		return sawUnmodifiedSince
	}
	return 0
}

func (s *scan) once(bit uint32) *Refusal {
	if s.seen&bit != 0 {
		return errDuplicate
	}
	s.seen |= bit
	return nil
}

func (s *scan) contentLength(value []byte) *Refusal {
	n := length(value)
	if s.length || n < 0 {
		return errLength
	}
	s.length, s.head.Length = true, n
	return nil
}

// length reads digits without sign, space or leading zero; -1 of anything else.
func length(value []byte) int64 {
	if len(value) == 0 || len(value) > 18 || len(value) > 1 && value[0] == '0' {
		return -1
	}
	for _, c := range value {
		if c < '0' || c > '9' {
			return -1
		}
	}
	n, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil {
		return -1
	}
	return n
}

func (s *scan) transferEncoding(value []byte) *Refusal {
	if s.encoding || !equal(value, "chunked") {
		return errEncoding
	}
	s.encoding = true
	return nil
}

// end judges the whole.
func (s *scan) end(method []byte) *Refusal {
	if s.length && s.encoding {
		return errFraming
	}
	if s.encoding {
		s.head.Length = Chunked
	}
	if !ValidHost(s.head.Host) {
		return errHost
	}
	if s.head.WebSocket {
		return s.handshake(method)
	}
	return nil
}

// equal compares without case; want is lower case.
func equal(value []byte, want string) bool {
	if len(value) != len(want) {
		return false
	}
	for i, c := range value {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c != want[i] {
			return false
		}
	}
	return true
}
