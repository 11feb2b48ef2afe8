package httpx_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/shared/httpx"
)

type semver string

func (s *semver) UnmarshalText(text []byte) error {
	if bytes.Count(text, []byte(".")) != 2 {
		return errors.New("not a version")
	}
	*s = semver(text)
	return nil
}

// optional tells null from absent, as PATCH does.
type optional struct {
	given bool
	value *string
}

func (o *optional) UnmarshalJSON(b []byte) error {
	o.given = true
	return json.Unmarshal(b, &o.value)
}

type base struct {
	Owner string `json:"owner"`
}

type input struct {
	base
	*Embedded
	Email        string          `json:"email"`
	Capabilities []string        `json:"capabilities"`
	Count        int8            `json:"count"`
	Size         uint16          `json:"size"`
	Big          int64           `json:"big"`
	Share        float64         `json:"share"`
	Flag         bool            `json:"flag"`
	ExpiresAt    *time.Time      `json:"expiresAt"`
	At           time.Time       `json:"at"`
	Version      semver          `json:"version"`
	Note         optional        `json:"note"`
	Metadata     json.RawMessage `json:"metadata"`
	Any          any             `json:"any"`
	Labels       map[string]int  `json:"labels"`
	Nested       *struct {
		Items []struct {
			Name string `json:"name"`
		} `json:"items"`
	} `json:"nested"`
	Pair  [2]int `json:"pair"`
	Bytes []byte `json:"bytes"`
	Plain string
	Skip  string `json:"-"`
}

type Embedded struct {
	Region string `json:"region"`
	Email  int    `json:"email"` // shadowed
}

func TestDecodeJSONAccepts(t *testing.T) {
	var got input
	require.NoError(t, httpx.DecodeJSON([]byte(` {
		"owner": "o", "region": "r", "email": "a@\u0062\ud83d\ude00", "capabilities": ["x", "y"], "count": -128, "size": 65535, "big": 9223372036854775807,
		"share": 1e-3, "flag": true, "expiresAt": null, "at": "2026-01-02T03:04:05.678Z", "version": "1.2.3", "note": null,
		"metadata": {"a": [1, {"b": null}]}, "any": [true, "x", 1.5], "labels": {"a": 1, "b c": 2}, "nested": {"items": [{"name": "n"}, {}]},
		"pair": [1, 2], "bytes": "YWJj", "Plain": "p" } `), &got))
	require.Equal(t, "o", got.Owner)
	require.Equal(t, "r", got.Region)
	require.Equal(t, "a@b😀", got.Email)
	require.Equal(t, []string{"x", "y"}, got.Capabilities)
	require.EqualValues(t, -128, got.Count)
	require.EqualValues(t, math.MaxInt64, got.Big)
	require.Equal(t, optional{given: true}, got.Note)
	require.Equal(t, semver("1.2.3"), got.Version)
	require.JSONEq(t, `{"a":[1,{"b":null}]}`, string(got.Metadata))
	require.Equal(t, "n", got.Nested.Items[0].Name)
	require.Equal(t, []byte("abc"), got.Bytes)

	var empty input
	require.NoError(t, httpx.DecodeJSON([]byte("{}"), &empty))
	require.Equal(t, input{}, empty)
	m := map[string]any{}
	require.NoError(t, httpx.DecodeJSON([]byte(`{"a":{"b":1}}`), &m))
	require.Equal(t, map[string]any{"a": map[string]any{"b": 1.0}}, m)
	require.NoError(t, httpx.DecodeJSON([]byte(`{"any":`+strings.Repeat("[", 31)+strings.Repeat("]", 31)+`}`), &empty))
}

func TestDecodeJSONRefuses(t *testing.T) {
	const notMember = "is not a member of this object"
	for body, want := range map[string][]string{
		"":                                     {"body: must be one valid JSON object"},
		"{":                                    {"body: must be one valid JSON object"},
		"{} {}":                                {"body: must be one valid JSON object"},
		"{}x":                                  {"body: must be one valid JSON object"},
		"\ufeff{}":                             {"body: must be one valid JSON object"},
		"{'a':1}":                              {"body: must be one valid JSON object"},
		`{"email":"a",}`:                       {"body: must be one valid JSON object"},
		`{"big":0x1}`:                          {"body: must be one valid JSON object"},
		`{"email":"` + "\n" + `"}`:             {"body: must be one valid JSON object"},
		"{\"email\":\"\xff\"}":                 {"body: must be UTF-8"},
		"null":                                 {"body: must be an object"},
		"[]":                                   {"body: must be an object"},
		`"x"`:                                  {"body: must be an object"},
		`{"Email":"a"}`:                        {"Email: " + notMember},
		`{"agentId":1,"role":{"a":"}"}}`:       {"agentId: " + notMember, "role: " + notMember},
		`{"-":"x","Skip":"x"}`:                 {"-: " + notMember, "Skip: " + notMember},
		`{"email":"a","email":"b"}`:            {"email: must be given once"},
		`{"email":"a","\u0065mail":"b"}`:       {"email: must be given once"},
		`{"any":{"a":1,"b":{"c":1,"c":2}}}`:    {"any.b.c: must be given once"},
		`{"metadata":{"a":1,"a":2}}`:           {"metadata.a: must be given once"},
		`{"note":{"a":1,"a":2}}`:               {"note.a: must be given once"},
		`{"email":null}`:                       {"email: must be a string"},
		`{"email":7,"flag":"true"}`:            {"email: must be a string", "flag: must be true or false"},
		`{"capabilities":["a",2,null,[]]}`:     {"capabilities[1]: must be a string", "capabilities[2]: must be a string", "capabilities[3]: must be a string"},
		`{"capabilities":"a"}`:                 {"capabilities: must be a list"},
		`{"capabilities":{}}`:                  {"capabilities: must be a list"},
		`{"count":128}`:                        {"count: must be a whole number from -128 to 127"},
		`{"count":1.0}`:                        {"count: must be a whole number from -128 to 127"},
		`{"count":"1"}`:                        {"count: must be a whole number"},
		`{"size":-1}`:                          {"size: must be a whole number from 0 to 65535"},
		`{"big":9223372036854775808}`:          {"big: must be a whole number from -9223372036854775808 to 9223372036854775807"},
		`{"share":1e999}`:                      {"share: must be a number"},
		`{"any":1e999}`:                        {"any: must be a number of double precision"},
		`{"metadata":{"x":[1e999]}}`:           {"metadata.x[0]: must be a number of double precision"},
		`{"at":null}`:                          {"at: must be an RFC 3339 time"},
		`{"at":"yesterday"}`:                   {"at: must be an RFC 3339 time"},
		`{"expiresAt":"2026-13-01T00:00:00Z"}`: {"expiresAt: must be an RFC 3339 time"},
		`{"version":"1"}`:                      {"version: is not of the documented form"},
		`{"version":null}`:                     {"version: is not of the documented form"},
		`{"note":7}`:                           {"note: is not of the documented form"},
		`{"labels":{"a":"x","b c":null}}`:      {"labels.a: must be a whole number", `labels["b c"]: must be a whole number`},
		`{"nested":{"items":[{"name":"a"},{"name":1,"extra":2}]}}`: {"nested.items[1].name: must be a string", "nested.items[1].extra: " + notMember},
		`{"nested":[]}`:            {"nested: must be an object"},
		`{"pair":{}}`:              {"pair: must be a list"},
		`{"bytes":7}`:              {"bytes: must be base64 text"},
		`{"bytes":"!"}`:            {"body: is not of the documented form"},
		`{"email":"a\u0000b"}`:     {"email: must be Unicode text without U+0000"},
		`{"email":"\ud800"}`:       {"email: must be Unicode text without U+0000"},
		`{"email":"\ud800x"}`:      {"email: must be Unicode text without U+0000"},
		`{"email":"\udc00\ud800"}`: {"email: must be Unicode text without U+0000"},
		`{"email":"\ud800\ud800"}`: {"email: must be Unicode text without U+0000"},
		`{"any":{"\ud800":1}}`:     {`any["�"]: must have a name of Unicode text without U+0000`},
		`{"":1}`:                   {`[""]: ` + notMember},
		`{"any":` + strings.Repeat("[", 32) + `"]}"` + strings.Repeat("]", 32) + `}`: {"any" + strings.Repeat("[0]", 32) + ": must not nest deeper than 32 levels"},
		`{"any":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`:    {"body: must be one valid JSON object"},
	} {
		err := httpx.DecodeJSON([]byte(body), &input{})
		require.True(t, apierr.Is(err, apierr.ValidationFailed), body)
		var got []string
		for _, f := range apierr.From(err).Fields {
			got = append(got, f.Field+": "+f.Rule)
		}
		require.Equal(t, want, got, "%.200s", body)
	}
}

func TestDecodeJSONBoundsItsAnswer(t *testing.T) {
	var b strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&b, `,"%s%d":1`, strings.Repeat("x", 1000), i)
	}
	err := httpx.DecodeJSON([]byte("{"+b.String()[1:]+"}"), &input{})
	fields := apierr.From(err).Fields
	require.Len(t, fields, 32)
	require.LessOrEqual(t, len(fields[0].Field), 80)
}

// FuzzDecodeJSON: what is accepted, encoding/json accepts into the same value,
// with unknown members refused; and the value survives a second round.
func FuzzDecodeJSON(f *testing.F) {
	for _, seed := range []string{
		`{"email":"a","capabilities":["x"],"nested":{"items":[{"name":"n"}]}}`, `{"any":{"a":[1,2,{"b":"\ud83d\ude00"}]},"metadata":{"x":1e3}}`,
		`{"email":"a","\u0065mail":"b"}`, `{"at":"2026-01-02T03:04:05Z","count":-1,"labels":{"":0}}`, ` [ { } , "\"" , null ] `, `{"any":"\\\u0022]}"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var got, want input
		if err := httpx.DecodeJSON(body, &got); err != nil {
			require.NotEmpty(t, apierr.From(err).Fields)
			require.LessOrEqual(t, len(apierr.From(err).Fields), 32)
		} else {
			decoder := json.NewDecoder(bytes.NewReader(body))
			decoder.DisallowUnknownFields()
			require.NoError(t, decoder.Decode(&want))
			require.Equal(t, want, got)
		}
		free := map[string]any{}
		if httpx.DecodeJSON(body, &free) == nil {
			again := map[string]any{}
			encoded, err := json.Marshal(free)
			require.NoError(t, err)
			require.NoError(t, httpx.DecodeJSON(encoded, &again))
			require.Equal(t, free, again)
		}
	})
}
