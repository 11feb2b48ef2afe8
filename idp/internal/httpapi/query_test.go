package httpapi

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"

	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/apierr"
)

func fields(t *testing.T, err error) string {
	t.Helper()
	require.Error(t, err)
	var list []string
	for _, f := range apierr.From(err).Fields {
		list = append(list, f.Field+" "+f.Rule)
	}
	return strings.Join(list, "; ")
}

func TestQuery(t *testing.T) {
	q := parseQuery("a=1&b=true&c=2026-07-01T12:00:00.5+02:00&d=x%20y&e=two&page=2&limit=7&&")
	require.EqualValues(t, 1, q.integer("a", 0, 9, 5))
	require.EqualValues(t, 5, q.integer("absent", 0, 9, 5))
	require.True(t, q.flag("b"))
	require.False(t, q.flag("absent"))
	require.Equal(t, time.Date(2026, 7, 1, 10, 0, 0, 500_000_000, time.UTC), q.instant("c"), "a plus that was not encoded")
	require.True(t, q.instant("absent").IsZero())
	require.Equal(t, "x y", q.text("d"))
	require.Equal(t, "two", q.oneOf("e", "one", "two"))
	require.Equal(t, store.Page{Number: 2, Limit: 7}, q.page())
	require.NoError(t, q.done())
}

func TestQueryRefusals(t *testing.T) {
	var many []string
	for i := range maxParameters + 1 {
		many = append(many, fmt.Sprintf("p%d=1", i))
	}
	for raw, want := range map[string]string{
		"x=1":                    "x is not a parameter of this operation",
		"%zz=1":                  "query must be percent-encoded UTF-8",
		"n=%ff":                  "query must be percent-encoded UTF-8",
		"n=1&n=1":                "n must not be repeated",
		"n=":                     "n must not be empty",
		"n":                      "n must not be empty",
		"n=+1":                   "n must be an integer from 0 to 9",
		"n=1.0":                  "n must be an integer from 0 to 9",
		"n=99999999999999999999": "n must be an integer from 0 to 9",
		"b=1":                    "b must be true or false",
		"t=12:00":                "t " + ruleInstant,
		"t=1969-12-31T23:59:59Z": "t " + ruleInstant,
		"o=three":                "o must be one of one, two",
		strings.Repeat("y", 99):  strings.Repeat("y", 64) + " is not a parameter of this operation",
	} {
		q := parseQuery(raw)
		q.integer("n", 0, 9, 0)
		q.flag("b")
		q.instant("t")
		q.oneOf("o", "one", "two")
		require.Equal(t, want, fields(t, q.done()), raw)
	}
	require.Contains(t, fields(t, parseQuery(strings.Join(many, "&")).done()), "query must hold at most 32 parameters")
}

func TestMembers(t *testing.T) {
	m, err := parseMembers([]byte(`{"a":"x","b":["y","z"],"c":7,"d":"2026-07-01T12:00:00Z","e":null}`))
	require.NoError(t, err)
	require.Equal(t, "x", or(m.text("a")))
	require.Nil(t, m.text("absent"))
	require.Empty(t, or(m.text("absent")))
	require.Equal(t, []string{"y", "z"}, *m.texts("b"))
	require.Nil(t, m.texts("absent"))
	require.Equal(t, 7, m.integer("c"))
	require.Zero(t, m.integer("absent"))
	require.Equal(t, 2026, m.instant("d").Year())
	require.Equal(t, "null", string(m.value("e")), "null is there")
	require.Nil(t, m.value("absent"))
	require.NoError(t, m.done())
}

// inTime gives every 503 a Retry-After and words what has no refusal yet.
func TestInTime(t *testing.T) {
	shared := apierr.New(apierr.Unavailable, "x")
	require.Equal(t, time.Second, apierr.From(inTime(shared)).RetryAfter)
	require.Zero(t, shared.RetryAfter, "a refusal may be shared")
	require.Equal(t, time.Minute, apierr.From(inTime(apierr.New(apierr.Overloaded, "x").WithRetryAfter(time.Minute))).RetryAfter)
	require.True(t, apierr.Is(inTime(fmt.Errorf("x: %w", context.Canceled)), apierr.Overloaded))
	require.True(t, apierr.Is(inTime(fmt.Errorf("x: %w", context.DeadlineExceeded)), apierr.StoreUnavailable))
	require.True(t, apierr.Is(inTime(store.ErrUnavailable), apierr.StoreUnavailable))
	unknown := errors.New("x")
	require.Equal(t, unknown, inTime(unknown))
}

func TestAnswerThatCannotBeEncoded(t *testing.T) {
	c := &call{http: &fasthttp.RequestCtx{}}
	require.Error(t, c.answer(200, func() {}))
}

func TestGunzipCutShort(t *testing.T) {
	_, err := gunzip([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0, 1}, 10)
	require.Equal(t, "body must be gzip", fields(t, err))
}

func TestDefaults(t *testing.T) {
	o := withDefaults(Options{})
	require.Equal(t, defaultMaxPolls, o.MaxPolls)
	require.NotNil(t, o.Metrics)
	require.NotNil(t, o.Logger)
	require.WithinDuration(t, time.Now(), o.Now(), time.Minute)
	require.Equal(t, "/a/b", issuerPath("https://x/a/b/"))
	require.Empty(t, issuerPath("https://x"))
	require.Empty(t, issuerPath(":"))
}
