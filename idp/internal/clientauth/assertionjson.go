package clientauth

import (
	"encoding/json"

	"github.com/sentryagent/agentidp/shared/token"
)

// object is the members of a JSON object by their exact names, as they stand.
type object map[string]json.RawMessage

// members reads one JSON object that all readers agree on, as tokens are read:
// no member twice at any depth, nothing after it.
func members(data []byte) (object, bool) {
	o := object{}
	err := token.ReadObject(data, func(name, value []byte) { o[string(name)] = value })
	return o, err == nil
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
