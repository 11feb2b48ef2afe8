package httpapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/shared/httpx"
)

// members reads a JSON object member by member and collects every rule it
// breaks: absence and null are different things here, and both are seen. Ask
// for every member, then call done.
type members struct {
	raw    map[string]json.RawMessage
	known  []string
	broken []apierr.Field
}

// parseMembers reads a body strictly; an empty one is the empty object.
func parseMembers(body []byte) (*members, error) {
	m := &members{raw: map[string]json.RawMessage{}}
	if len(body) == 0 {
		return m, nil
	}
	if err := httpx.DecodeJSON(body, &m.raw); err != nil {
		return nil, err
	}
	if m.raw == nil {
		return nil, invalidField("body", "must be an object")
	}
	return m, nil
}

func invalidField(field, rule string) *apierr.Error {
	return apierr.Invalid(apierr.Field{Field: field, Rule: rule})
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

// notEmpty complains when there is nothing to change.
func (m *members) notEmpty() {
	if len(m.raw) == 0 {
		m.breaks("body", "must have at least one member")
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

// boolean is true or false; false when absent.
func (m *members) boolean(name string) bool {
	var b bool
	m.read(name, &b, "must be true or false")
	return b
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
