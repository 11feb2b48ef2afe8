package httpapi

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/apierr"
)

// maxParameters is the most a query may hold.
const maxParameters = 32

// query reads query parameters and collects every rule they break. A repeated
// or unknown parameter is refused: a filter that is misspelt must not widen the
// answer. Ask for every parameter, then call done.
type query struct {
	values map[string]string
	known  []string
	broken []apierr.Field
}

// parseQuery decodes a raw query.
func parseQuery(raw string) *query {
	q := &query{values: map[string]string{}}
	for raw != "" {
		var piece string
		piece, raw, _ = strings.Cut(raw, "&")
		if piece == "" {
			continue
		}
		rawName, rawValue, _ := strings.Cut(piece, "=")
		name, nameErr := url.QueryUnescape(rawName)
		value, valueErr := url.QueryUnescape(rawValue)
		_, repeated := q.values[name]
		switch {
		case nameErr != nil || valueErr != nil || !utf8.ValidString(name) || !utf8.ValidString(value):
			q.breaks("query", "must be percent-encoded UTF-8")
			return q
		case repeated:
			q.breaks(fmt.Sprintf("%.64s", name), "must not be repeated")
		case len(q.values) == maxParameters:
			q.breaks("query", fmt.Sprintf("must hold at most %d parameters", maxParameters))
			return q
		default:
			q.values[name] = value
		}
	}
	return q
}

func (q *query) breaks(field, rule string) {
	q.broken = append(q.broken, apierr.Field{Field: field, Rule: rule})
}

// done is the refusal of every rule broken so far, unknown parameters included.
func (q *query) done() error {
	var unknown []string
	for name := range q.values {
		if !slices.Contains(q.known, name) {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	for _, name := range unknown {
		q.breaks(fmt.Sprintf("%.64s", name), "is not a parameter of this operation")
	}
	if q.broken == nil {
		return nil
	}
	return apierr.Invalid(q.broken...)
}

// text is a parameter; "" when absent. An empty one is refused, because a
// filter that was meant must not vanish.
func (q *query) text(name string) string {
	q.known = append(q.known, name)
	value, present := q.values[name]
	if present && value == "" {
		q.breaks(name, "must not be empty")
	}
	return value
}

// require complains about absent parameters.
func (q *query) require(names ...string) {
	for _, name := range names {
		if _, present := q.values[name]; !present {
			q.breaks(name, "is required")
		}
	}
}

// integer is a decimal number from low to high; absent when it was not sent or is wrong.
func (q *query) integer(name string, low, high, absent int64) int64 {
	text := q.text(name)
	if text == "" {
		return absent
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < low || n > high || strconv.FormatInt(n, 10) != text {
		q.breaks(name, fmt.Sprintf("must be an integer from %d to %d", low, high))
		return absent
	}
	return n
}

// flag is true or false; false when absent.
func (q *query) flag(name string) bool {
	switch q.text(name) {
	case "true":
		return true
	case "", "false":
	default:
		q.breaks(name, "must be true or false")
	}
	return false
}

// instant is a time in RFC 3339; zero when absent. A plus sign that was not
// percent-encoded arrives as a space and is taken for what it was.
func (q *query) instant(name string) time.Time {
	text := q.text(name)
	if text == "" {
		return time.Time{}
	}
	t, ok := parseInstant(strings.Replace(text, " ", "+", 1))
	if !ok {
		q.breaks(name, ruleInstant)
	}
	return t
}

// oneOf is one of the values; "" when absent.
func (q *query) oneOf(name string, values ...string) string {
	text := q.text(name)
	if text != "" && !slices.Contains(values, text) {
		q.breaks(name, "must be one of "+strings.Join(values, ", "))
	}
	return text
}

const (
	defaultLimit = 20
	maxLimit     = 100
	maxPage      = 1_000_000
)

// page reads page and limit.
func (q *query) page() store.Page {
	return store.Page{Number: int(q.integer("page", 1, maxPage, 1)), Limit: int(q.integer("limit", 1, maxLimit, defaultLimit))}
}
