package rpc

import (
	"encoding/base64"
	"strings"
)

// Fields is what the header fields say about the message; nil where there is none.
type Fields struct {
	Method, Name []byte // Mcp-Method, Mcp-Name
}

// Agree demands that fields that are there say what the body says (SEP-2243).
func (f Fields) Agree(m *Message) *Problem {
	if f.Method != nil && string(f.Method) != m.Method {
		return errHeader
	}
	if f.Name == nil {
		return nil
	}
	if name, ok := unwrap(string(f.Name)); ok && m.subject() == (Text{name, true}) {
		return nil
	}
	return errHeader
}

// subject is the member of params that the field repeats, which depends on the
// method: a message may have the others too.
func (m *Message) subject() Text {
	switch {
	case strings.HasPrefix(m.Method, "resources/"):
		return m.URI
	case strings.HasPrefix(m.Method, "tasks/"):
		return m.TaskID
	}
	return m.Name
}

const wrapOpen, wrapClose = "=?base64?", "?="

// unwrap decodes a value that stands in base64 because a field cannot hold it.
// One text has one wrapping: padded, without anything that decoders skip.
func unwrap(value string) (string, bool) {
	inner, wrapped := strings.CutPrefix(value, wrapOpen)
	if !wrapped {
		return value, true
	}
	inner, closed := strings.CutSuffix(inner, wrapClose)
	if !closed || strings.ContainsAny(inner, "\r\n") {
		return "", false
	}
	text, err := base64.StdEncoding.Strict().DecodeString(inner)
	return string(text), err == nil
}
