package rpc

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxListed bounds what one answer may list: each is asked for.
const maxListed = 1000

// calls are the lists that answers hold, by their member of result, with the
// method that uses what is listed.
var calls = map[string]string{
	"tools": "tools/call", "prompts": "prompts/get", "resources": "resources/read", "resourceTemplates": "resources/read",
}

// Lists is the member of result that the answer to the method must have; "" if
// the method lists nothing.
func Lists(method string) string {
	switch method {
	case "tools/list":
		return "tools"
	case "prompts/list":
		return "prompts"
	case "resources/list":
		return "resources"
	case "resources/templates/list":
		return "resourceTemplates"
	}
	return ""
}

// ErrAnswer is wrapped by nothing: it is what is wrong with a message of the
// upstream's that cannot be filtered. Its bytes are never part of it.
var ErrAnswer = errors.New("the upstream's message cannot be filtered")

// Filter takes out of lists what may not be used. An error of its own means
// that it cannot tell, and ends the filtering.
type Filter func(method, name string) (bool, error)

// Answer is what a filtered message was.
type Answer struct {
	Kind   Kind
	Failed bool   // a response with an error
	List   string // the member of result that was filtered; "" if there is none
}

// Message gives the message without the elements of lists that may not be used;
// every other byte is as it was. Errors: ErrAnswer, and the filter's own.
func (f Filter) Message(message []byte) ([]byte, Answer, error) {
	if !utf8.Valid(message) || bytes.HasPrefix(message, []byte("\ufeff")) {
		return nil, Answer{}, ErrAnswer
	}
	l := lister{filter: f, reader: reader{scanner: scanner{b: message}}}
	l.space()
	if err := l.whole(func() error { return l.object(l.member) }); err != nil {
		return nil, Answer{}, l.failed(err)
	}
	if l.judge() != nil {
		return nil, Answer{}, ErrAnswer
	}
	answer := Answer{Kind: l.message.Kind, Failed: l.seen&sawError != 0, List: l.list}
	if answer.Kind != Response && answer.List != "" {
		return nil, Answer{}, ErrAnswer
	}
	if l.kept == nil {
		return message, answer, nil
	}
	out := append(slices.Clone(message[:l.from]), bytes.Join(l.kept, []byte(","))...)
	return append(out, message[l.to:]...), answer, nil
}

// lister reads a message of the upstream's.
type lister struct {
	reader
	filter Filter
	own    error  // the filter's
	list   string // the member of result that was met
	from   int    // of what stands between the brackets
	to     int
	kept   [][]byte // pieces of it, without their commas; nil: all of them
}

func (l *lister) failed(err error) error {
	if l.own != nil && errors.Is(err, l.own) {
		return err
	}
	return ErrAnswer
}

// member reads the envelope; an error may come without a request.
func (l *lister) member(name []byte) error {
	switch {
	case string(name) == "result":
		if l.seen&sawResult != 0 {
			return errDuplicate
		}
		l.seen |= sawResult
		if l.peek() != '{' {
			return l.value()
		}
		return l.object(l.result)
	case string(name) == "id" && l.peek() == 'n': // nobody knows what it answers
		if l.seen&sawID != 0 {
			return errDuplicate
		}
		l.seen |= sawID
		return l.word("null")
	case string(name) == "params": // the upstream's requests are not judged
		if l.seen&sawParams != 0 {
			return errDuplicate
		}
		l.seen |= sawParams
		return l.value()
	}
	return l.reader.member(name)
}

func (l *lister) result(raw []byte) error {
	name := decode(raw)
	known := ""
	for member := range calls {
		if strings.EqualFold(name, member) {
			known = member
		}
	}
	if known == "" {
		return l.value()
	}
	if string(raw) != known || l.list != "" {
		return errDuplicate
	}
	l.list = known
	return l.elements()
}

// elements reads the list and notes what is left of it.
func (l *lister) elements() error {
	l.from = l.i + 1
	start, count := l.from, 0
	kept := [][]byte{}
	err := l.array(func() error {
		if count++; count > maxListed {
			return errMembers
		}
		begin := start
		name, err := l.element()
		if err != nil {
			return err
		}
		l.space()
		start = l.i + 1 // behind the comma
		allowed, err := l.filter(calls[l.list], name)
		if err != nil {
			l.own = err
			return err
		}
		if allowed {
			kept = append(kept, l.b[begin:l.i])
		}
		return nil
	})
	l.to = l.i - 1
	if len(kept) < count {
		l.kept = kept
	}
	return err
}

// element reads one, and its name, which must be there once and a string.
func (l *lister) element() (string, error) {
	var name Text
	err := l.object(func(raw []byte) error {
		member := decode(raw)
		if !strings.EqualFold(member, "name") {
			return l.value()
		}
		if string(raw) != "name" || name.Set || l.peek() != '"' {
			return errDuplicate
		}
		return l.string(&name)
	})
	if err == nil && !name.Set {
		err = ErrName
	}
	return name.Value, err
}
