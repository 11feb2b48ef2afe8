package rpc

import (
	"errors"
	"unicode/utf8"
)

// maxDepth of objects and arrays inside each other.
const maxDepth = 64

var (
	errJSON = errors.New("not JSON")
	errDeep = errors.New("nested too deep")
)

// scanner reads JSON (RFC 8259) strictly from valid UTF-8: nothing is taken
// that two parsers could take for two things.
type scanner struct {
	b     []byte
	i     int
	depth int
}

// space skips the four bytes that JSON calls white space.
func (s *scanner) space() {
	for s.i < len(s.b) && (s.b[s.i] == ' ' || s.b[s.i] == '\t' || s.b[s.i] == '\n' || s.b[s.i] == '\r') {
		s.i++
	}
}

// peek is the next byte; 0 at the end, where no JSON text has one.
func (s *scanner) peek() byte {
	if s.i < len(s.b) {
		return s.b[s.i]
	}
	return 0
}

func (s *scanner) take(c byte) bool {
	if s.peek() != c || s.i == len(s.b) {
		return false
	}
	s.i++
	return true
}

func (s *scanner) word(text string) error {
	if len(s.b)-s.i < len(text) || string(s.b[s.i:s.i+len(text)]) != text {
		return errJSON
	}
	s.i += len(text)
	return nil
}

// value skips one value.
func (s *scanner) value() error {
	switch c := s.peek(); {
	case c == '{':
		return s.object(func([]byte) error { return s.value() })
	case c == '[':
		return s.array(s.value)
	case c == '"':
		_, err := s.text()
		return err
	case c == 't':
		return s.word("true")
	case c == 'f':
		return s.word("false")
	case c == 'n':
		return s.word("null")
	}
	return s.number()
}

// end demands that nothing but white space is left.
func (s *scanner) end() error {
	s.space()
	if s.i < len(s.b) {
		return errJSON
	}
	return nil
}

// object reads an object; member is called with each name as it is written,
// before its value, which member reads.
func (s *scanner) object(member func(name []byte) error) error {
	return s.list('{', '}', func() error {
		name, err := s.text()
		if err != nil {
			return err
		}
		s.space()
		if !s.take(':') {
			return errJSON
		}
		s.space()
		return member(name)
	})
}

// array reads an array; element reads each of its values.
func (s *scanner) array(element func() error) error { return s.list('[', ']', element) }

func (s *scanner) list(open, closing byte, item func() error) error {
	if !s.take(open) {
		return errJSON
	}
	if s.depth++; s.depth > maxDepth {
		return errDeep
	}
	defer func() { s.depth-- }()
	s.space()
	if s.take(closing) {
		return nil
	}
	for {
		s.space()
		if err := item(); err != nil {
			return err
		}
		s.space()
		if s.take(closing) {
			return nil
		}
		if !s.take(',') {
			return errJSON
		}
	}
}

func (s *scanner) digits() bool {
	from := s.i
	for c := s.peek(); c >= '0' && c <= '9'; c = s.peek() {
		s.i++
	}
	return s.i > from
}

func (s *scanner) number() error {
	s.take('-')
	if !s.take('0') && !s.digits() {
		return errJSON
	}
	if s.take('.') && !s.digits() {
		return errJSON
	}
	if s.take('e') || s.take('E') {
		if !s.take('+') {
			s.take('-')
		}
		if !s.digits() {
			return errJSON
		}
	}
	return nil
}

// text reads a string and gives what stands between its quotes. A surrogate
// without its other half is no character: parsers disagree on what it is.
func (s *scanner) text() ([]byte, error) {
	if !s.take('"') {
		return nil, errJSON
	}
	from := s.i
	for s.i < len(s.b) {
		switch c := s.b[s.i]; {
		case c == '"':
			s.i++
			return s.b[from : s.i-1], nil
		case c < ' ':
			return nil, errJSON
		case c == '\\':
			_, n := unescape(s.b[s.i:])
			if n == 0 {
				return nil, errJSON
			}
			s.i += n
		default:
			s.i++
		}
	}
	return nil, errJSON
}

// unescape reads the escape that b begins with, both halves of a surrogate
// pair at once, and says how long it is; 0: it is none.
func unescape(b []byte) (rune, int) {
	if len(b) < 2 {
		return 0, 0
	}
	switch b[1] {
	case '"', '\\', '/':
		return rune(b[1]), 2
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	}
	first := unit(b)
	switch {
	case first < 0, first >= 0xdc00 && first < 0xe000:
		return 0, 0
	case first < 0xd800 || first >= 0xe000:
		return first, 6
	}
	second := unit(b[6:])
	if second < 0xdc00 || second >= 0xe000 {
		return 0, 0
	}
	return (first-0xd800)<<10 | (second - 0xdc00) + 0x10000, 12
}

// unit reads \uXXXX; -1 when b does not begin with it.
func unit(b []byte) rune {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return -1
	}
	var r rune
	for _, c := range b[2:6] {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c >= 'a' && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case c >= 'A' && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return -1
		}
	}
	return r
}

// decode is what a string means that text has read.
func decode(raw []byte) string {
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); {
		if raw[i] != '\\' {
			out = append(out, raw[i])
			i++
			continue
		}
		r, n := unescape(raw[i:])
		out = utf8.AppendRune(out, r)
		i += n
	}
	return string(out)
}
