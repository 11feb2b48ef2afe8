package idp

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/sentryagent/agentidp/shared/capability"
)

// Bounds of an agent's lists and blobs.
const (
	MaxCapabilities  = 100
	MaxMetadataBytes = 16 << 10 // compact
	MaxMetadataDepth = 32       // objects and arrays inside each other, the outer object included
)

// ParseCapabilities reads a list of capabilities into a set, naming every bad entry by its index.
func ParseCapabilities(values []string) (capability.Set, []Rule) {
	if len(values) > MaxCapabilities {
		return nil, broken("capabilities", fmt.Sprintf("must have at most %d entries", MaxCapabilities))
	}
	set := make(capability.Set, 0, len(values))
	var rules []Rule
	for i, value := range values {
		c, err := capability.Parse(value)
		if err != nil {
			rules = append(rules, Rule{Field: fmt.Sprintf("capabilities[%d]", i), Text: "must be resource:action, lower case [a-z0-9][a-z0-9._/-]* or * on each side, at most 128 bytes"})
			continue
		}
		set = append(set, c)
	}
	if rules != nil {
		return nil, rules
	}
	slices.Sort(set)
	return slices.Compact(set), nil
}

// CompactMetadata returns the JSON object without insignificant space. Nothing
// and the literal null give nil: no metadata.
func CompactMetadata(raw json.RawMessage) (json.RawMessage, []Rule) {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || bytes.Equal(raw, []byte("null")) {
		return nil, nil
	}
	var compact bytes.Buffer
	if raw[0] != '{' || !utf8.Valid(raw) || json.Compact(&compact, raw) != nil {
		return nil, broken("metadata", "must be a JSON object or null")
	}
	var rules []Rule
	if compact.Len() > MaxMetadataBytes {
		rules = append(rules, Rule{Field: "metadata", Text: fmt.Sprintf("must be at most %d bytes without insignificant space", MaxMetadataBytes)})
	}
	if depth(compact.Bytes()) > MaxMetadataDepth {
		rules = append(rules, Rule{Field: "metadata", Text: fmt.Sprintf("must nest at most %d objects and arrays", MaxMetadataDepth)})
	}
	if rules != nil {
		return nil, rules
	}
	return compact.Bytes(), nil
}

// depth is the deepest nesting of valid JSON.
func depth(valid []byte) int {
	deepest, open, quoted := 0, 0, false
	for i := 0; i < len(valid); i++ {
		switch c := valid[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			open++
			deepest = max(deepest, open)
		case c == '}' || c == ']':
			open--
		}
	}
	return deepest
}
