package token

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"sync"
	"unicode/utf16"
	"unicode/utf8"
)

// Bounds of the strict reader: enough for every token and key set, too little
// to make reading expensive.
const (
	maxDepth   = 8
	maxMembers = 64 // of one object
)

var errJSON = errors.New("not strict JSON")

// reader accepts a subset of what encoding/json accepts: one value, valid
// UTF-8 and no lone surrogates, so that no two strings become one, no member
// name twice in an object at any depth, bounded depth and members.
type reader struct {
	data  []byte
	at    int
	names [][]byte // member names of all open objects, innermost last
}

// ReadObject reads data, which must be one JSON object that all readers agree
// on: valid UTF-8 without lone surrogates, no member name twice in an object at
// any depth, at most 8 levels deep and 64 members an object, nothing after it.
// It hands the members to visit in order, the name unescaped, the value as a
// part of data. They are only to be believed when ReadObject returns nil.
func ReadObject(data []byte, visit func(name, value []byte)) error {
	r := readers.Get().(*reader)
	*r = reader{data: data, names: r.names[:0]}
	whole := r.document(visit)
	if cap(r.names) <= maxMembers {
		clear(r.names[:cap(r.names)]) // they are parts of data
		r.data = nil
		readers.Put(r)
	}
	if !whole {
		return errJSON
	}
	return nil
}

// readers keep the room for names.
var readers = sync.Pool{New: func() any { return &reader{names: make([][]byte, 0, 16)} }}

// document is one object, and nothing else but space.
func (r *reader) document(visit func(name, value []byte)) bool {
	r.space()
	if !r.object(1, visit) {
		return false
	}
	r.space()
	return r.at == len(r.data)
}

// readArray hands out the elements of a value that ReadObject accepted; false
// when it is not an array.
func readArray(value []byte, visit func(element []byte)) bool {
	r := reader{data: value}
	return r.array(1, visit)
}

func (r *reader) space() {
	for r.at < len(r.data) {
		switch r.data[r.at] {
		case ' ', '\t', '\n', '\r':
			r.at++
		default:
			return
		}
	}
}

func (r *reader) take(c byte) bool {
	if r.at < len(r.data) && r.data[r.at] == c {
		r.at++
		return true
	}
	return false
}

func (r *reader) value(depth int) bool {
	if r.at >= len(r.data) || depth > maxDepth {
		return false
	}
	switch r.data[r.at] {
	case '{':
		return r.object(depth, nil)
	case '[':
		return r.array(depth, nil)
	case '"':
		_, ok := r.text()
		return ok
	case 't':
		return r.literal("true")
	case 'f':
		return r.literal("false")
	case 'n':
		return r.literal("null")
	default:
		return r.number()
	}
}

func (r *reader) object(depth int, visit func(name, value []byte)) bool {
	if !r.take('{') {
		return false
	}
	outer := len(r.names)
	defer func() { r.names = r.names[:outer] }()
	for first := true; ; first = false {
		r.space()
		if first && r.take('}') {
			return true
		}
		name, ok := r.text()
		if !ok || !r.fresh(outer, name) {
			return false
		}
		r.space()
		if !r.take(':') {
			return false
		}
		r.space()
		start := r.at
		if !r.value(depth + 1) {
			return false
		}
		if visit != nil {
			visit(name, r.data[start:r.at])
		}
		r.space()
		if r.take('}') {
			return true
		}
		if !r.take(',') {
			return false
		}
	}
}

// fresh adds a member name to the innermost object, whose names begin at outer.
func (r *reader) fresh(outer int, name []byte) bool {
	if len(r.names)-outer >= maxMembers {
		return false
	}
	for _, seen := range r.names[outer:] {
		if bytes.Equal(seen, name) {
			return false
		}
	}
	r.names = append(r.names, name)
	return true
}

func (r *reader) array(depth int, visit func(element []byte)) bool {
	if !r.take('[') {
		return false
	}
	for first := true; ; first = false {
		r.space()
		if first && r.take(']') {
			return true
		}
		start := r.at
		if !r.value(depth + 1) {
			return false
		}
		if visit != nil {
			visit(r.data[start:r.at])
		}
		r.space()
		if r.take(']') {
			return true
		}
		if !r.take(',') {
			return false
		}
	}
}

// text reads a string and returns it unescaped.
func (r *reader) text() ([]byte, bool) {
	if !r.take('"') {
		return nil, false
	}
	start, escaped := r.at, false
	for {
		r.at += plain(r.data[r.at:])
		if r.at == len(r.data) || r.data[r.at] < ' ' {
			return nil, false
		}
		if r.data[r.at] == '"' {
			break
		}
		escaped = true
		if !r.escape() {
			return nil, false
		}
	}
	raw := r.data[start:r.at]
	r.at++
	if !utf8.Valid(raw) {
		return nil, false
	}
	if escaped {
		return unescape(r.data[start-1 : r.at])
	}
	return raw, true
}

// plain is how many bytes there are before a quote, a backslash or a control character.
func plain(data []byte) int {
	for i, c := range data {
		if c < ' ' || c == '"' || c == '\\' {
			return i
		}
	}
	return len(data)
}

// escape reads one escape sequence; a high surrogate takes the low one with it.
func (r *reader) escape() bool {
	r.at++
	if r.at >= len(r.data) {
		return false
	}
	switch r.data[r.at] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		r.at++
		return true
	case 'u':
	default:
		return false
	}
	high, ok := r.unit()
	if !ok || !utf16.IsSurrogate(high) {
		return ok
	}
	if !r.take('\\') || r.at >= len(r.data) || r.data[r.at] != 'u' {
		return false
	}
	low, ok := r.unit()
	return ok && utf16.DecodeRune(high, low) != utf8.RuneError
}

// unit reads the uXXXX of an escape.
func (r *reader) unit() (rune, bool) {
	if r.at+5 > len(r.data) {
		return 0, false
	}
	n, err := strconv.ParseUint(string(r.data[r.at+1:r.at+5]), 16, 16)
	r.at += 5
	return rune(n), err == nil
}

// unescape is left to the standard library: escapes are rare in tokens.
func unescape(quoted []byte) ([]byte, bool) {
	var s string
	if json.Unmarshal(quoted, &s) != nil {
		return nil, false
	}
	return []byte(s), true
}

func (r *reader) literal(word string) bool {
	if !bytes.HasPrefix(r.data[r.at:], []byte(word)) {
		return false
	}
	r.at += len(word)
	return true
}

func (r *reader) number() bool {
	r.take('-')
	if !r.take('0') && !r.digits() {
		return false
	}
	if r.take('.') && !r.digits() {
		return false
	}
	if r.take('e') || r.take('E') {
		if !r.take('+') {
			r.take('-')
		}
		return r.digits()
	}
	return true
}

func (r *reader) digits() bool {
	start := r.at
	for r.at < len(r.data) && r.data[r.at] >= '0' && r.data[r.at] <= '9' {
		r.at++
	}
	return r.at > start
}

// stringOf reads a value as a string.
func stringOf(value []byte) (string, bool) {
	r := reader{data: value}
	s, ok := r.text()
	return string(s), ok
}

// integerOf reads a value as an integer without fraction or exponent.
func integerOf(value []byte) (int64, bool) {
	n, err := strconv.ParseInt(string(value), 10, 64)
	return n, err == nil && string(value) != "-0"
}

// stringsOf reads a value as an array of strings only.
func stringsOf(value []byte) (all []string, ok bool) {
	good := true
	array := readArray(value, func(element []byte) {
		s, ok := stringOf(element)
		all, good = append(all, s), good && ok
	})
	return all, array && good
}
