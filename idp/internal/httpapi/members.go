package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/sentryagent/agentidp/shared/apierr"
)

// members reads a JSON object member by member and collects every rule it
// breaks. Names are exact, no member may come twice at any depth, and null is
// a value of its own, not absence. Ask for every member, then call done.
type members struct {
	raw    map[string]json.RawMessage
	known  []string
	broken []apierr.Field
}

// parseMembers reads a body; an empty one is the empty object.
func parseMembers(body []byte) (*members, error) {
	m := &members{raw: map[string]json.RawMessage{}}
	if len(bytes.TrimSpace(body)) == 0 {
		return m, nil
	}
	if !utf8.Valid(body) || !json.Valid(body) {
		return nil, invalidField("body", "must be JSON in UTF-8")
	}
	if repeated, err := repeatedMember(body); err != nil {
		return nil, invalidField("body", "must be JSON")
	} else if repeated != "" {
		return nil, invalidField(repeated, "must not be repeated")
	}
	if err := json.Unmarshal(body, &m.raw); err != nil || m.raw == nil {
		return nil, invalidField("body", "must be a JSON object")
	}
	return m, nil
}

func invalidField(field, rule string) *apierr.Error {
	return apierr.Invalid(apierr.Field{Field: field, Rule: rule})
}

// repeatedMember finds a member name that an object holds twice, at any depth,
// and names it by its path. The body is valid JSON.
func repeatedMember(body []byte) (string, error) {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var open []*level
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return "", nil
		}
		if err != nil {
			return "", err
		}
		var top *level
		if len(open) > 0 {
			top = open[len(open)-1]
		}
		delimiter, isDelimiter := token.(json.Delim)
		if isDelimiter && (delimiter == '}' || delimiter == ']') {
			open = open[:len(open)-1]
			continue
		}
		path := ""
		if top != nil {
			name, isName := top.enter(token)
			if isName && top.names[name] {
				return top.path(name), nil
			}
			if isName {
				top.names[name] = true
				continue
			}
			path = top.path(top.name)
		}
		if isDelimiter {
			open = append(open, &level{prefix: path, array: delimiter == '[', names: map[string]bool{}})
		}
	}
}

// level is an open object or array of repeatedMember.
type level struct {
	prefix string
	array  bool
	index  int             // of the next element
	named  bool            // an object's next token is a value
	name   string          // its name, or the element's index
	names  map[string]bool // seen so far
}

// enter takes the next token: isName when it is a member name, else the start of a value.
func (l *level) enter(token json.Token) (name string, isName bool) {
	if l.array {
		l.name = "[" + strconv.Itoa(l.index) + "]"
		l.index++
		return "", false
	}
	if l.named = !l.named; !l.named {
		return "", false
	}
	l.name, _ = token.(string)
	return l.name, true
}

func (l *level) path(name string) string {
	if l.prefix == "" || l.array {
		return l.prefix + name
	}
	return l.prefix + "." + name
}

// done is the refusal of every rule broken so far, unknown members included.
func (m *members) done() error {
	for _, name := range slices.Sorted(maps.Keys(m.raw)) {
		if !slices.Contains(m.known, name) {
			m.breaks(fmt.Sprintf("%.64s", name), "is not a member of this object")
		}
	}
	if m.broken == nil {
		return nil
	}
	return apierr.Invalid(m.broken...)
}

func (m *members) breaks(field, rule string) {
	m.broken = append(m.broken, apierr.Field{Field: field, Rule: rule})
}

// value returns a member as sent; nil when it is absent.
func (m *members) value(name string) json.RawMessage {
	m.known = append(m.known, name)
	return m.raw[name]
}

// require complains about absent members.
func (m *members) require(names ...string) {
	for _, name := range names {
		if _, present := m.raw[name]; !present {
			m.breaks(name, "is required")
		}
	}
}

// fixed complains about members that exist but cannot be set.
func (m *members) fixed(names ...string) {
	for _, name := range names {
		if m.value(name) != nil {
			m.breaks(name, "cannot be changed")
		}
	}
}

// read decodes a present member into target, which it leaves alone otherwise.
// null is a wrong type like any other.
func (m *members) read(name string, target any, rule string) bool {
	raw := m.value(name)
	if raw == nil {
		return false
	}
	if bytes.Equal(raw, []byte("null")) || json.Unmarshal(raw, target) != nil {
		m.breaks(name, rule)
		return false
	}
	return true
}

// text is a string member; nil when absent.
func (m *members) text(name string) *string {
	var s string
	if !m.read(name, &s, "must be a string") {
		return nil
	}
	return &s
}

// texts is a member that lists strings; nil when absent.
func (m *members) texts(name string) *[]string {
	var pointers []*string
	if !m.read(name, &pointers, "must be an array of strings") {
		return nil
	}
	list := make([]string, len(pointers))
	for i, p := range pointers {
		if p == nil {
			m.breaks(fmt.Sprintf("%s[%d]", name, i), "must be a string")
			continue
		}
		list[i] = *p
	}
	return &list
}

// integer is a whole number; 0 when absent.
func (m *members) integer(name string) int {
	var n int
	m.read(name, &n, "must be an integer")
	return n
}

// instant is a time in RFC 3339; zero when absent.
func (m *members) instant(name string) time.Time {
	s := m.text(name)
	if s == nil {
		return time.Time{}
	}
	t, ok := parseInstant(*s)
	if !ok {
		m.breaks(name, ruleInstant)
	}
	return t
}

const ruleInstant = "must be a time in RFC 3339 such as 2026-07-01T12:00:00Z"

// parseInstant reads RFC 3339 between the years 1970 and 9999.
func parseInstant(s string) (time.Time, bool) {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || len(s) > 40 || t.UTC().Year() < 1970 || t.UTC().Year() > 9999 {
		return time.Time{}, false
	}
	return t.UTC(), true
}

// or is the text, or the empty one.
func or(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
