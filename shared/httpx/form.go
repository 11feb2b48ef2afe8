package httpx

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sentryagent/agentidp/shared/apierr"
)

// Limits of a form body.
const (
	maxForm       = 64 << 10
	maxParameters = 64
)

// Form is the parameters of an application/x-www-form-urlencoded body, each with
// its values in the order they came.
type Form map[string][]string

// Value is the first value of the parameter, "" if there is none.
func (f Form) Value(name string) string {
	if values := f[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// Repeated names a parameter that came more than once, other than those that
// may; "" if there is none. With several, the first by name.
func (f Form) Repeated(may ...string) string {
	found := ""
	for name, values := range f {
		if len(values) > 1 && !slices.Contains(may, name) && (found == "" || name < found) {
			found = name
		}
	}
	return found
}

// ParseForm reads a form strictly: at most 64 KiB and 64 parameters, "%" only
// before two hex digits, UTF-8 without control characters. A "+" is a space;
// "&&" is nothing. Any other body is INVALID_REQUEST or PAYLOAD_TOO_LARGE.
func ParseForm(body []byte) (Form, error) {
	if len(body) > maxForm {
		return nil, tooLarge()
	}
	form, count := Form{}, 0
	for pair := range strings.SplitSeq(string(body), "&") {
		if pair == "" {
			continue
		}
		if count++; count > maxParameters {
			return nil, badForm("form_too_many_parameters", "the form has more than 64 parameters")
		}
		rawName, rawValue, _ := strings.Cut(pair, "=")
		name, ok := unescape(rawName)
		value, valueOK := unescape(rawValue)
		if !ok || !valueOK || name == "" {
			return nil, badForm("form_malformed", "the form is malformed")
		}
		form[name] = append(form[name], value)
	}
	return form, nil
}

func badForm(reason, detail string) *apierr.Error {
	return apierr.New(apierr.InvalidRequest, "%s", detail).WithReason(reason)
}

// unescape decodes one name or value; false if it is not strictly of the form.
func unescape(s string) (string, bool) {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '+':
			b = append(b, ' ')
		case '%':
			if i+2 >= len(s) || unhex(s[i+1]) < 0 || unhex(s[i+2]) < 0 {
				return "", false
			}
			b = append(b, byte(unhex(s[i+1])<<4|unhex(s[i+2])))
			i += 2
		default:
			b = append(b, c)
		}
	}
	for _, c := range b {
		if c < ' ' || c == 0x7f {
			return "", false
		}
	}
	return string(b), utf8.Valid(b)
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
