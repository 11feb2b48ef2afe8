package policy

import (
	"errors"
	"fmt"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// parseDecision reads {allow, reason, obligations?} strictly: a member more, a
// member less, or another type is an error, because a misspelt obligation must
// not turn into none.
func parseDecision(term *ast.Term) (Decision, error) {
	object, ok := term.Value.(ast.Object)
	if !ok {
		return Decision{}, fmt.Errorf("decision must be an object, not %s", ast.ValueName(term.Value))
	}
	var d Decision
	var seenAllow, seenReason bool
	err := object.Iter(func(name, value *ast.Term) error {
		var err error
		switch name.Value {
		case ast.String("allow"):
			d.Allow, seenAllow, err = parseAllow(value)
		case ast.String("reason"):
			d.Reason, seenReason, err = parseReason(value)
		case ast.String("obligations"):
			d.Obligations, err = parseObligations(value)
		default:
			err = fmt.Errorf("decision has an unknown member %v", name)
		}
		return err
	})
	if err == nil && (!seenAllow || !seenReason) {
		err = errors.New("decision must have allow and reason")
	}
	if err != nil {
		return Decision{}, err
	}
	if !d.Allow || len(d.Obligations) == 0 {
		d.Obligations = nil
	}
	return d, nil
}

func parseAllow(term *ast.Term) (allow, ok bool, err error) {
	b, ok := term.Value.(ast.Boolean)
	if !ok {
		return false, false, fmt.Errorf("decision.allow must be a boolean, not %s", ast.ValueName(term.Value))
	}
	return bool(b), true, nil
}

// parseReason copies the string, which may share memory with the input.
func parseReason(term *ast.Term) (reason string, ok bool, err error) {
	s, _ := term.Value.(ast.String)
	if !validReason(string(s)) {
		return "", false, fmt.Errorf("decision.reason must be a string [a-z][a-z0-9_]*, at most 64 bytes, not %.100s", term)
	}
	return strings.Clone(string(s)), true, nil
}

func validReason(s string) bool {
	for i := range len(s) {
		c := s[i]
		lower := c >= 'a' && c <= 'z'
		if !lower && (i == 0 || c != '_' && (c < '0' || c > '9')) {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

// parseObligations checks the values of the obligations that we know, so that
// Decision.Fields and OwnTokens need not.
func parseObligations(term *ast.Term) (map[string]any, error) {
	object, ok := term.Value.(ast.Object)
	if !ok {
		return nil, fmt.Errorf("decision.obligations must be an object, not %s", ast.ValueName(term.Value))
	}
	obligations := make(map[string]any, object.Len())
	err := object.Iter(func(name, value *ast.Term) error {
		key, ok := name.Value.(ast.String)
		if !ok {
			return fmt.Errorf("obligation names must be strings, not %v", name)
		}
		parsed, err := parseObligation(string(key), value)
		obligations[string(key)] = parsed
		return err
	})
	return obligations, err
}

func parseObligation(name string, term *ast.Term) (any, error) {
	value, err := ast.JSON(term.Value)
	if err != nil {
		return nil, fmt.Errorf("obligation %q: %w", name, err)
	}
	switch name {
	case ObligationTokens:
		if value != "own" {
			return nil, fmt.Errorf(`obligation %q must be "own"`, name)
		}
	case ObligationFields:
		return parseFields(value)
	}
	return value, nil
}

func parseFields(value any) ([]string, error) {
	values, ok := value.([]any)
	fields := make([]string, len(values))
	for i := range values {
		field, isString := values[i].(string)
		ok = ok && isString && field != ""
		fields[i] = field
	}
	if !ok {
		return nil, fmt.Errorf("obligation %q must be a list of strings", ObligationFields)
	}
	return fields, nil
}
