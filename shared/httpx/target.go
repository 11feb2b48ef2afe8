package httpx

import (
	"encoding"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"
)

// target is the Go type a JSON value is meant for. Type is nil for anything.
type target struct {
	reflect.Type
	null bool // may be null
	own  bool // decodes itself
}

var (
	jsonUnmarshaler = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
	rawMessage      = reflect.TypeFor[json.RawMessage]()
	timeType        = reflect.TypeFor[time.Time]()
)

func resolve(t reflect.Type) target {
	null := false
	for t != nil && t.Kind() == reflect.Pointer {
		t, null = t.Elem(), true
	}
	switch {
	case t == nil, t == rawMessage, t.Kind() == reflect.Interface:
		return target{null: true}
	case reflect.PointerTo(t).Implements(jsonUnmarshaler), reflect.PointerTo(t).Implements(textUnmarshaler):
		return target{Type: t, null: null, own: true}
	}
	return target{Type: t, null: null || t.Kind() == reflect.Map || t.Kind() == reflect.Slice}
}

// refuses gives the rule that a value beginning with first breaks; "" if it may be.
func (t target) refuses(first byte) string {
	if t.Type == nil || first == 'n' && t.null {
		return ""
	}
	var fits bool
	switch t.Kind() {
	case reflect.Struct, reflect.Map:
		fits = first == '{'
	case reflect.Slice, reflect.Array:
		fits = first == '[' || first == '"' && t.bytes()
	case reflect.String:
		fits = first == '"'
	case reflect.Bool:
		fits = first == 't' || first == 'f'
	default:
		fits = first == '-' || first >= '0' && first <= '9'
	}
	if fits {
		return ""
	}
	return ruleOf(t.Type)
}

// takesNull reports whether a type that decodes itself distinguishes null.
func (t target) takesNull() bool {
	return t.Type != timeType && reflect.PointerTo(t.Type).Implements(jsonUnmarshaler)
}

// bytes reports whether the type is written as base64.
func (t target) bytes() bool { return t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8 }

// ruleOf words what a value of the type must be.
func ruleOf(t reflect.Type) string {
	if t == timeType {
		return "must be an RFC 3339 time"
	}
	switch kind := t.Kind(); {
	case reflect.PointerTo(t).Implements(jsonUnmarshaler), reflect.PointerTo(t).Implements(textUnmarshaler):
		return "is not of the documented form"
	case kind == reflect.Struct, kind == reflect.Map:
		return "must be an object"
	case target{Type: t}.bytes():
		return "must be base64 text"
	case kind == reflect.Slice, kind == reflect.Array:
		return "must be a list"
	case kind == reflect.String:
		return "must be a string"
	case kind == reflect.Bool:
		return "must be true or false"
	case kind == reflect.Float32, kind == reflect.Float64:
		return "must be a number"
	}
	return "must be a whole number"
}

// refusesNumber gives the rule that the number breaks.
func (t target) refusesNumber(text string) string {
	if t.Type == nil {
		if _, err := strconv.ParseFloat(text, 64); err != nil {
			return "must be a number of double precision"
		}
		return ""
	}
	bits := 0
	if t.Kind() >= reflect.Int && t.Kind() <= reflect.Float64 {
		bits = t.Bits()
	}
	var err error
	rule := "must be a number"
	switch kind := t.Kind(); {
	case kind >= reflect.Int && kind <= reflect.Int64:
		_, err = strconv.ParseInt(text, 10, bits)
		rule = fmt.Sprintf("must be a whole number from %d to %d", -1<<(bits-1), 1<<(bits-1)-1)
	case kind >= reflect.Uint && kind <= reflect.Uintptr:
		_, err = strconv.ParseUint(text, 10, bits)
		rule = fmt.Sprintf("must be a whole number from 0 to %d", uint64(math.MaxUint64)>>(64-bits))
	case kind == reflect.Float32, kind == reflect.Float64:
		_, err = strconv.ParseFloat(text, bits)
	}
	if err != nil {
		return rule
	}
	return ""
}

// element is the type of a list's items; nil for anything.
func (t target) element() reflect.Type {
	if t.Type == nil {
		return nil
	}
	return t.Elem()
}

// member is the type of an object's member, and whether it may have it.
func (t target) member(name string) (reflect.Type, bool) {
	if t.Type == nil {
		return nil, true
	}
	if t.Kind() == reflect.Map {
		return t.Elem(), true
	}
	member, known := membersOf(t.Type)[name]
	return member, known
}

var memberCache sync.Map // reflect.Type → map[string]reflect.Type; as many as there are types

// membersOf gives a struct's members by their JSON name, those of embedded structs included.
func membersOf(t reflect.Type) map[string]reflect.Type {
	if members, known := memberCache.Load(t); known {
		return members.(map[string]reflect.Type)
	}
	members := map[string]reflect.Type{}
	for i := range t.NumField() {
		field := t.Field(i)
		tag := field.Tag.Get("json")
		name, _, _ := strings.Cut(tag, ",")
		inner := field.Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		switch {
		case tag == "-":
		case field.Anonymous && name == "" && inner.Kind() == reflect.Struct:
			for promoted, member := range membersOf(inner) {
				if _, shadowed := members[promoted]; !shadowed {
					members[promoted] = member
				}
			}
		case !field.IsExported():
		case name == "":
			members[field.Name] = field.Type
		default:
			members[name] = field.Type
		}
	}
	memberCache.Store(t, members)
	return members
}
