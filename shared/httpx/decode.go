package httpx

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/sentryagent/agentidp/shared/apierr"
)

// Limits of a JSON body.
const (
	maxDepth    = 32
	maxProblems = 32
)

// DecodeJSON reads one JSON object into dst, a pointer to a struct or a map, and
// refuses what lenient readers differ on: members that dst has not (names are
// compared exactly), members given twice, text that is not Unicode or holds
// U+0000, numbers past the range of their type, nesting past 32 levels, anything
// after the object. null is for pointers, maps, slices and interfaces.
//
// The error is a VALIDATION_FAILED that names each member at fault by its path
// ("capabilities[2]", "metadata.a") and the rule it breaks, 32 at most; what is
// wrong with the whole has the path "body". dst is then unchanged or partly
// filled. The caller bounds the size.
func DecodeJSON(body []byte, dst any) error {
	if !utf8.Valid(body) {
		return bad("body", "must be UTF-8")
	}
	if !json.Valid(body) {
		return bad("body", "must be one valid JSON object")
	}
	w := &walker{body: body}
	w.value(reflect.TypeOf(dst).Elem())
	if len(w.problems) > 0 {
		return apierr.Invalid(w.problems...)
	}
	err := json.Unmarshal(body, dst)
	var mismatch *json.UnmarshalTypeError
	switch {
	case errors.As(err, &mismatch) && mismatch.Field != "":
		return bad(mismatch.Field, "must be a "+mismatch.Type.String())
	case err != nil:
		return apierr.Invalid(apierr.Field{Field: "body", Rule: "is not of the documented form"}).WithCause(err)
	}
	return nil
}

func bad(field, rule string) error { return apierr.Invalid(apierr.Field{Field: field, Rule: rule}) }

// walker goes over a body that is known to be valid JSON, next to the type it
// is meant for. It keeps the path in steps, and words it only for a problem.
type walker struct {
	body     []byte
	at       int
	path     []step
	problems []apierr.Field
}

// step is one member name, or one list index if the name is empty.
type step struct {
	name   string
	index  int
	member bool
}

func (w *walker) problem(rule string) {
	if len(w.problems) < maxProblems {
		w.problems = append(w.problems, apierr.Field{Field: w.where(), Rule: rule})
	}
}

func (w *walker) space() {
	for w.at < len(w.body) && strings.IndexByte(" \t\r\n", w.body[w.at]) >= 0 {
		w.at++
	}
}

// next skips space and gives the byte there.
func (w *walker) next() byte {
	w.space()
	return w.body[w.at]
}

// value checks one value against t; nil takes anything.
func (w *walker) value(t reflect.Type) {
	first := w.next()
	if len(w.path) > maxDepth {
		w.problem("must not nest deeper than 32 levels")
		w.skip()
		return
	}
	target := resolve(t)
	if target.own {
		w.own(target)
		return
	}
	if rule := target.refuses(first); rule != "" {
		w.problem(rule)
		w.skip()
		return
	}
	switch first {
	case '{':
		w.object(target)
	case '[':
		w.list(target)
	case '"':
		w.text()
	case 't', 'f', 'n':
		w.skip()
	default:
		w.number(target)
	}
}

// own checks a value that its type decodes itself. Only a json.Unmarshaler of
// the program's own sees null.
func (w *walker) own(target target) {
	start, before := w.at, len(w.problems)
	null := w.body[start] == 'n'
	w.value(nil)
	if len(w.problems) > before || null && target.null {
		return
	}
	if null && !target.takesNull() || json.Unmarshal(w.body[start:w.at], reflect.New(target.Type).Interface()) != nil {
		w.problem(ruleOf(target.Type))
	}
}

func (w *walker) object(target target) {
	w.at++ // {
	var seen map[string]bool
	for w.next() != '}' {
		if w.body[w.at] == ',' {
			w.at++
			w.space()
		}
		start := w.at
		unicode := w.scan()
		name := w.body[start+1 : w.at-1]
		decoded := string(name)
		if bytes.IndexByte(name, '\\') >= 0 {
			_ = json.Unmarshal(w.body[start:w.at], &decoded) // a valid string, as all of the body is valid
		}
		w.next()
		w.at++ // :
		w.path = append(w.path, step{name: decoded, member: true})
		member, known := target.member(decoded)
		switch {
		case !unicode:
			w.problem("must have a name of Unicode text without U+0000")
			w.skip()
		case seen[decoded]:
			w.problem("must be given once")
			w.skip()
		case !known:
			w.problem("is not a member of this object")
			w.skip()
		default:
			w.value(member)
		}
		if seen == nil {
			seen = map[string]bool{}
		}
		seen[decoded] = true
		w.path = w.path[:len(w.path)-1]
	}
	w.at++ // }
}

func (w *walker) list(target target) {
	w.at++ // [
	for i := 0; w.next() != ']'; i++ {
		if w.body[w.at] == ',' {
			w.at++
		}
		w.path = append(w.path, step{index: i})
		w.value(target.element())
		w.path = w.path[:len(w.path)-1]
	}
	w.at++ // ]
}

func (w *walker) text() {
	if !w.scan() {
		w.problem("must be Unicode text without U+0000")
	}
}

func (w *walker) number(target target) {
	start := w.at
	w.skip()
	if rule := target.refusesNumber(string(w.body[start:w.at])); rule != "" {
		w.problem(rule)
	}
}
