// Package rpc reads JSON-RPC 2.0 messages of MCP and A2A so that nobody behind
// can read them differently: no encoding/json, which takes any case and the
// last of two members. What it accepts is judged and forwarded byte for byte.
// Pure functions over bytes.
package rpc

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"
)

// Bounds of a message.
const (
	maxMethod  = 128
	maxID      = 256
	maxMembers = 128 // of params
	maxMember  = 128 // bytes of a name in params
	maxNumber  = 16  // characters of an integer that no double rounds: 2^53 has 16 digits
)

// Kind of a message.
type Kind uint8

// The kinds.
const (
	Request Kind = iota + 1
	Notification
	Response
)

// Message is what an accepted message says.
type Message struct {
	Kind   Kind
	ID     string // as it is written, with its quotes if it has any; "" of a notification
	Method string // "" of a response
	Name   Text   // params.name
	URI    Text   // params.uri
	TaskID Text   // params.taskId
}

// Text is a member that may be missing, or no string.
type Text struct {
	Value string
	Set   bool
}

// Read reads one message. On a Problem the Message holds what was understood
// before it, of use for its ID.
func Read(body []byte) (Message, *Problem) {
	if !utf8.Valid(body) || bytes.HasPrefix(body, []byte("\ufeff")) {
		return Message{}, errEncoding
	}
	r := reader{scanner: scanner{b: body}}
	r.space()
	switch c := r.peek(); {
	case c == '[':
		return Message{}, errBatch
	case c < ' ' && r.i < len(body), c >= utf8.RuneSelf:
		return Message{}, errPrefix
	case c != '{':
		if problem := problem(r.whole(r.value)); problem != nil {
			return Message{}, problem
		}
		return Message{}, errObject
	}
	if problem := problem(r.whole(func() error { return r.object(r.member) })); problem != nil {
		return r.message, problem
	}
	return r.message, r.judge()
}

// reader reads one envelope.
type reader struct {
	scanner
	message Message
	seen    uint8
	names   []string // of params, that were read
}

// Members of the envelope.
const (
	sawVersion uint8 = 1 << iota
	sawID
	sawMethod
	sawParams
	sawResult
	sawError
)

// whole reads what is to be all of the text.
func (r *reader) whole(read func() error) error {
	if err := read(); err != nil {
		return err
	}
	return r.end()
}

// member takes one member of the envelope. Names are compared as they are
// written: an escaped or otherwise misspelt one is not known.
func (r *reader) member(name []byte) error {
	var bit uint8
	read := r.value
	switch string(name) {
	case "jsonrpc":
		bit, read = sawVersion, r.version
	case "id":
		bit, read = sawID, r.id
	case "method":
		bit, read = sawMethod, r.method
	case "params":
		bit, read = sawParams, r.params
	case "result":
		bit = sawResult
	case "error":
		bit, read = sawError, r.failure
	default:
		return errMember
	}
	if r.seen&bit != 0 {
		return errDuplicate
	}
	r.seen |= bit
	return read()
}

// judge decides what the envelope is.
func (r *reader) judge() *Problem {
	const kind = sawID | sawMethod | sawParams | sawResult | sawError
	if r.seen&sawVersion == 0 {
		return errVersion
	}
	switch r.seen & kind &^ sawParams {
	case sawID | sawMethod:
		r.message.Kind = Request
	case sawMethod:
		r.message.Kind = Notification
	case sawID | sawResult, sawID | sawError:
		r.message.Kind = Response
		if r.seen&sawParams != 0 {
			return errEnvelope
		}
	default:
		return errEnvelope
	}
	return nil
}

func (r *reader) version() error {
	if r.peek() != '"' {
		return r.wrong(errVersion)
	}
	raw, err := r.text()
	if err == nil && string(raw) != "2.0" {
		return errVersion
	}
	return err
}

// wrong refuses a value of the wrong type; what is no value is no JSON.
func (r *reader) wrong(problem *Problem) error {
	if err := r.value(); err != nil {
		return err
	}
	return problem
}

// id takes a string or an integer: null, fractions and exponents do not come
// back from every server as they went in (JSON-RPC 2.0 section 4).
func (r *reader) id() error {
	from := r.i
	if r.peek() == '"' {
		raw, err := r.text()
		if err != nil {
			return err
		}
		if len(raw) == 0 || len(raw) > maxID {
			return errID
		}
	} else if !r.integer() {
		return errID
	}
	r.message.ID = string(r.b[from:r.i])
	return nil
}

// integer reads one that every parser reads alike.
func (r *reader) integer() bool {
	from := r.i
	if r.number() != nil {
		return false
	}
	text := strings.TrimPrefix(string(r.b[from:r.i]), "-")
	return !strings.ContainsAny(text, ".eE") && string(r.b[from:r.i]) != "-0" && (len(text) < maxNumber || len(text) == maxNumber && text <= "9007199254740991")
}

func (r *reader) method() error {
	if r.peek() != '"' {
		return r.wrong(errMethod)
	}
	raw, err := r.text()
	if err != nil {
		return err
	}
	r.message.Method = decode(raw)
	if !printable(r.message.Method) {
		r.message.Method = ""
		return errMethod
	}
	return nil
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return len(s) > 0 && len(s) <= maxMethod
}

func (r *reader) failure() error {
	if r.peek() != '{' {
		return r.wrong(errEnvelope)
	}
	return r.value()
}

func (r *reader) params() error {
	if r.peek() != '{' {
		return r.wrong(errParams)
	}
	return r.object(r.param)
}

// decisive are the members of params that decisions and header fields go by.
var decisive = []string{"name", "uri", "taskId"}

// param takes one member of params. Two whose names are one to a parser that
// ignores case are a duplicate.
func (r *reader) param(raw []byte) error {
	name := string(raw)
	if len(name) > maxMember || strings.Contains(name, `\`) {
		return errSpelling
	}
	if len(r.names) == maxMembers {
		return errMembers
	}
	alike := func(other string) bool { return strings.EqualFold(name, other) }
	if slices.ContainsFunc(r.names, alike) {
		return errDuplicate
	}
	if slices.ContainsFunc(decisive, alike) && !slices.Contains(decisive, name) {
		return errSpelling
	}
	r.names = append(r.names, name)
	switch name {
	case "name":
		return r.string(&r.message.Name)
	case "uri":
		return r.string(&r.message.URI)
	case "taskId":
		return r.string(&r.message.TaskID)
	}
	return r.value()
}

// string reads any value, and keeps it if it is a string.
func (r *reader) string(into *Text) error {
	if r.peek() != '"' {
		return r.value()
	}
	raw, err := r.text()
	if err == nil {
		*into = Text{decode(raw), true}
	}
	return err
}
