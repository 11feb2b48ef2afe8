package clientauth

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// maxNesting is how deep objects and arrays of an assertion or a key set may nest.
const maxNesting = 8

// object is the members of a JSON object by their exact names, as they stand.
type object map[string]json.RawMessage

// members reads one JSON object that all readers agree on: valid UTF-8, no
// member twice at any depth, nothing after it.
func members(data []byte) (object, bool) {
	if !utf8.Valid(data) || !distinct(json.NewDecoder(bytes.NewReader(data)), maxNesting) {
		return nil, false
	}
	var o object
	err := json.Unmarshal(data, &o)
	return o, err == nil && o != nil
}

// distinct passes over one value and reports whether every object in it names
// each member once.
func distinct(d *json.Decoder, depth int) bool {
	d.UseNumber()
	first, err := d.Token()
	if err != nil {
		return false
	}
	opened, nests := first.(json.Delim)
	if !nests {
		return true
	}
	if depth == 0 {
		return false
	}
	names := map[string]bool{}
	for d.More() {
		if opened == '{' {
			token, err := d.Token()
			name, isText := token.(string)
			if err != nil || !isText || names[name] {
				return false
			}
			names[name] = true
		}
		if !distinct(d, depth-1) {
			return false
		}
	}
	_, err = d.Token()
	return err == nil
}

func (o object) has(name string) bool { _, present := o[name]; return present }

// text is a member that is a string; false when it is absent or anything else.
func (o object) text(name string) (string, bool) { return textOf(o[name]) }

func textOf(value json.RawMessage) (s string, ok bool) {
	if len(value) == 0 || value[0] != '"' {
		return "", false
	}
	return s, json.Unmarshal(value, &s) == nil
}

// texts is a member that is a string or an array of strings.
func (o object) texts(name string) ([]string, bool) {
	if one, ok := o.text(name); ok {
		return []string{one}, true
	}
	var values []json.RawMessage
	if json.Unmarshal(o[name], &values) != nil || values == nil {
		return nil, false
	}
	all := make([]string, len(values))
	for i, value := range values {
		var ok bool
		if all[i], ok = textOf(value); !ok {
			return nil, false
		}
	}
	return all, true
}
