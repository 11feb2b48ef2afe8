package auditlog

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/sentryagent/agentidp/idp"
)

var errEncode = errors.New("event cannot be encoded")

// An entry bundle (C2SP tlog-tiles) gives a leaf's length 16 bits.
const (
	maxEncoded        = 1<<16 - 1
	maxSequenceDigits = 19
)

// Encode gives the event as it is served and hashed: JSON in the canonical form
// of RFC 8785, at most 65,535 bytes under any sequence. Empty optional members
// are left out.
func Encode(e *idp.Event) ([]byte, error) {
	leaf, err := encode(e)
	if err != nil {
		return nil, err
	}
	return leaf.under(e.Sequence), nil
}

// unnumbered is an encoded event but for its sequence, which only the writer gives.
type unnumbered struct {
	body []byte
	at   int // where the sequence goes
}

func (u unnumbered) under(sequence int64) []byte {
	return u.appendUnder(make([]byte, 0, u.room()), sequence)
}

func (u unnumbered) appendUnder(b []byte, sequence int64) []byte {
	b = strconv.AppendInt(append(b, u.body[:u.at]...), sequence, 10)
	return append(b, u.body[u.at:]...)
}

// room is how long the event is at most.
func (u unnumbered) room() int { return len(u.body) + maxSequenceDigits }

func encode(e *idp.Event) (unnumbered, error) {
	b := make([]byte, 0, 512)
	b = append(b, '{')
	// Members in the order RFC 8785 sorts them.
	b = member(b, "action", string(e.Action))
	b = optional(b, "agentId", e.AgentID)
	b = member(b, "eventId", e.ID)
	b = optional(b, "ipAddress", e.IPAddress)
	if len(e.Metadata) > 0 {
		b = append(b, `"metadata":`...)
		var err error
		if b, err = appendValue(b, e.Metadata); err != nil {
			return unnumbered{}, err
		}
		b = append(b, ',')
	}
	b = member(b, "organizationId", e.OrganizationID)
	b = member(b, "outcome", string(e.Outcome))
	b = optional(b, "reason", e.Reason)
	b = optional(b, "requestId", e.RequestID)
	b = append(b, `"sequence":`...)
	at := len(b)
	b = append(b, `,"timestamp":"`...)
	b = append(e.Timestamp.UTC().AppendFormat(b, idp.TimeLayout), '"', ',')
	b = optional(b, "userAgent", e.UserAgent)
	b[len(b)-1] = '}'
	return bounded(unnumbered{b, at}, e.Action)
}

// bounded refuses an event that would be too large under some sequence.
func bounded(u unnumbered, action idp.Action) (unnumbered, error) {
	if size := u.room(); size > maxEncoded {
		return unnumbered{}, fmt.Errorf("%w: %q of %d bytes", errEncode, action, size)
	}
	return u, nil
}

func optional(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	return member(b, name, value)
}

func member(b []byte, name, value string) []byte {
	b = append(b, '"')
	b = append(b, name...)
	b = append(b, '"', ':')
	b = appendString(b, value)
	return append(b, ',')
}

const hexDigits = "0123456789abcdef"

// appendString quotes s as RFC 8785 section 3.2.2.2 wants it. Bytes that are
// not UTF-8 become U+FFFD, so that a leaf is always valid JSON.
func appendString(b []byte, s string) []byte {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	b = append(b, '"')
	plain := 0 // where what is not appended yet begins
	for i := range len(s) {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[plain:i]...)
		plain = i + 1
		switch {
		case c >= 0x20:
			b = append(b, '\\', c)
		case c == '\b':
			b = append(b, '\\', 'b')
		case c == '\t':
			b = append(b, '\\', 't')
		case c == '\n':
			b = append(b, '\\', 'n')
		case c == '\f':
			b = append(b, '\\', 'f')
		case c == '\r':
			b = append(b, '\\', 'r')
		default:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	b = append(b, s[plain:]...)
	return append(b, '"')
}

func appendValue(b []byte, value any) ([]byte, error) {
	switch v := value.(type) {
	case nil:
		return append(b, "null"...), nil
	case string:
		return appendString(b, v), nil
	case bool:
		return strconv.AppendBool(b, v), nil
	case int:
		return strconv.AppendInt(b, int64(v), 10), nil
	case int64:
		return strconv.AppendInt(b, v, 10), nil
	case float64:
		return appendFloat(b, v)
	case []string:
		return appendList(b, v, func(b []byte, s string) ([]byte, error) { return appendString(b, s), nil })
	case []any:
		return appendList(b, v, appendValue)
	case map[string]any:
		return appendObject(b, v)
	default:
		return nil, fmt.Errorf("%w: metadata of type %T", errEncode, value)
	}
}

func appendList[T any](b []byte, list []T, one func([]byte, T) ([]byte, error)) ([]byte, error) {
	b = append(b, '[')
	for i, item := range list {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = one(b, item); err != nil {
			return nil, err
		}
	}
	return append(b, ']'), nil
}

// Members are sorted by UTF-16 code units (RFC 8785 section 3.2.3).
func appendObject(b []byte, object map[string]any) ([]byte, error) {
	names := make([]string, 0, len(object))
	for name := range object {
		names = append(names, name)
	}
	slices.SortFunc(names, compareUTF16)
	b = append(b, '{')
	for i, name := range names {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendString(b, name), ':')
		var err error
		if b, err = appendValue(b, object[name]); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

// compareUTF16 is the order of the bytes where one of both is ASCII.
func compareUTF16(x, y string) int {
	if ascii(x) || ascii(y) {
		return strings.Compare(x, y)
	}
	return slices.Compare(utf16.Encode([]rune(x)), utf16.Encode([]rune(y)))
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// appendFloat writes a number as ECMAScript does (RFC 8785 section 3.2.2.3).
func appendFloat(b []byte, f float64) ([]byte, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, fmt.Errorf("%w: %v is not a JSON number", errEncode, f)
	}
	if f == 0 {
		return append(b, '0'), nil // also -0
	}
	if size := math.Abs(f); size >= 1e-6 && size < 1e21 {
		return strconv.AppendFloat(b, f, 'f', -1, 64), nil
	}
	text := strconv.FormatFloat(f, 'e', -1, 64)
	mantissa, exponent, _ := strings.Cut(text, "e")
	sign, digits := exponent[:1], strings.TrimLeft(exponent[1:], "0")
	return append(b, mantissa+"e"+sign+digits...), nil
}
