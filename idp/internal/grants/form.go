package grants

import (
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sentryagent/agentidp/shared/apierr"
)

// MaxParameters is the most a form may hold.
const MaxParameters = 64

// Form is a decoded application/x-www-form-urlencoded body. The zero value is
// the empty form.
type Form struct {
	names  []string
	values []string
}

// ParseForm decodes a body strictly: no broken percent-encoding, valid UTF-8,
// and no parameter twice unless it is named repeatable (RFC 6749 section 3.2).
func ParseForm(body string, repeatable ...string) (Form, error) {
	var f Form
	for body != "" {
		var piece string
		piece, body, _ = strings.Cut(body, "&")
		if piece == "" {
			continue
		}
		rawName, rawValue, _ := strings.Cut(piece, "=")
		name, nameErr := url.QueryUnescape(rawName)
		value, valueErr := url.QueryUnescape(rawValue)
		switch {
		case nameErr != nil || valueErr != nil || !utf8.ValidString(name) || !utf8.ValidString(value):
			return Form{}, invalid("malformed_form", "the body is not a well-formed form in UTF-8")
		case len(f.names) == MaxParameters:
			return Form{}, invalid("too_many_parameters", "the form has too many parameters")
		case slices.Contains(f.names, name) && !slices.Contains(repeatable, name):
			return Form{}, invalid("repeated_parameter", "a parameter is repeated")
		}
		f.names, f.values = append(f.names, name), append(f.values, value)
	}
	return f, nil
}

// Get is the value of a parameter; "" when it is absent or empty, which mean
// the same (RFC 6749 section 3.1).
func (f Form) Get(name string) string {
	if i := slices.Index(f.names, name); i >= 0 {
		return f.values[i]
	}
	return ""
}

// All lists the values of a repeatable parameter in order, empty ones left out.
func (f Form) All(name string) []string {
	var all []string
	for i, n := range f.names {
		if n == name && f.values[i] != "" {
			all = append(all, f.values[i])
		}
	}
	return all
}

// invalid is an invalid_request. Descriptions are fixed texts: nothing of the
// request is repeated in them.
func invalid(reason, description string) *apierr.Error {
	return apierr.New(apierr.InvalidRequest, "%s", description).WithReason(reason)
}
