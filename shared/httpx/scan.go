package httpx

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
)

// scan passes over the string at hand and reports whether its escapes are
// Unicode text without U+0000: the decoder would make U+FFFD of half a surrogate pair.
func (w *walker) scan() bool {
	sound, high := true, false // high: the first half of a pair came just before
	for w.at++; ; {
		c := w.body[w.at]
		escaped := c == '\\' && w.body[w.at+1] == 'u'
		if high && !escaped {
			sound, high = false, false
		}
		switch {
		case c == '"':
			w.at++
			return sound
		case escaped:
			unit, _ := strconv.ParseUint(string(w.body[w.at+2:w.at+6]), 16, 16) // four hex digits, as the body is valid
			r := rune(unit)
			low := utf16.IsSurrogate(r) && r >= 0xDC00
			if r == 0 || high != low {
				sound = false
			}
			high = utf16.IsSurrogate(r) && !low
			w.at += 6
		case c == '\\':
			w.at += 2
		default:
			w.at++
		}
	}
}

// skip passes over the value at hand without looking at it.
func (w *walker) skip() {
	for depth := 0; ; {
		switch c := w.next(); c {
		case '{', '[':
			depth++
			w.at++
		case '}', ']':
			depth--
			w.at++
		case '"':
			w.scan()
		case ',', ':':
			w.at++
			continue
		default:
			for w.at < len(w.body) && strings.IndexByte(",:]} \t\r\n", w.body[w.at]) < 0 {
				w.at++
			}
		}
		if depth == 0 {
			return
		}
	}
}

// where words the path: a.b[2], with names that are not plain quoted and cut.
func (w *walker) where() string {
	if len(w.path) == 0 {
		return "body"
	}
	var b strings.Builder
	for i, s := range w.path {
		switch {
		case !s.member:
			fmt.Fprintf(&b, "[%d]", s.index)
		case !plainName(s.name):
			fmt.Fprintf(&b, "[%.64q]", s.name)
		case i == 0:
			b.WriteString(s.name)
		default:
			b.WriteString("." + s.name)
		}
	}
	return b.String()
}

func plainName(name string) bool {
	for _, c := range []byte(name) {
		alphanumeric := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !alphanumeric && c != '_' && c != '-' {
			return false
		}
	}
	return name != "" && len(name) <= 64
}
