package spool

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/decision"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 5e6, time.UTC)

// marshal is the reference: encoding/json without HTML escapes.
func marshal(t *testing.T, r decision.Record) string {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	require.NoError(t, e.Encode(r))
	return strings.TrimSuffix(b.String(), "\n")
}

func encode(r *decision.Record, clip int) string {
	return string(appendTail(appendPrefix(nil, r.Sequence, []byte(r.PrevHash)), r, noon, clip))
}

func TestEncodeEqualsEncodingJSON(t *testing.T) {
	first := int64(3)
	full := *allowed(1)
	full.Sequence, full.PrevHash, full.Count = 9, decision.Hash([]byte("x")), 4
	gap := decision.Record{Sequence: 7, Time: full.Time, Outcome: decision.Gap, Reason: decision.GapCorrupt, Count: 5, FirstSequence: &first}
	bare := decision.Record{Time: full.Time, Outcome: decision.Error}
	odd := full
	odd.Path, odd.Host, odd.Reason = "/a\"b\\c\x00\x1f\x7f\t\n\r\b\f", "h\xff\xfe ok\xe2\x82", "<&> \u2028\u2029 é 漢 😀"
	for _, r := range []decision.Record{full, gap, bare, odd} {
		require.Equal(t, marshal(t, r), encode(&r, clipAt))
		_, err := decision.Parse([]byte(encode(&r, clipAt)))
		require.NoError(t, err)
	}
	for _, ms := range []float64{0.001, 0.1, 3, 10, 100.05, 0.0005, 0.1 + 0.2, 999_999_999_999.999, 1e12, 1e12 + 0.5, 0.0001, 1e-7, 1.5e-9, 12345.678, 1e21, 1e22, math.MaxFloat64, math.SmallestNonzeroFloat64} {
		full.DurationMs = ms
		require.Equal(t, marshal(t, full), encode(&full, clipAt))
	}
}

// Wherever a character stands that is not written as it is, in text read eight bytes at a time.
func TestEncodeEveryByteEverywhere(t *testing.T) {
	r := decision.Record{Time: "2026-03-01T10:00:00.123Z", Outcome: decision.Allowed}
	for c := range 256 {
		for at := range 17 {
			text := bytes.Repeat([]byte("x"), 17)
			text[at] = byte(c)
			r.Path = string(text)
			require.Equal(t, marshal(t, r), encode(&r, clipAt), "%#x at %d", c, at)
		}
	}
}

// Every member of decision.Record reaches the line: a new one cannot be forgotten.
func TestEncodeKnowsEveryMember(t *testing.T) {
	var r decision.Record
	v := reflect.ValueOf(&r).Elem()
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.String:
			f.SetString("x")
		case reflect.Float64:
			f.SetFloat(1)
		case reflect.Pointer:
			f.Set(reflect.ValueOf(new(int64)))
		default:
			f.SetInt(1)
		}
	}
	r.Time = "2026-03-01T10:00:00.123Z"
	require.Equal(t, marshal(t, r), encode(&r, clipAt))
}

func TestEncodeTime(t *testing.T) {
	for text, want := range map[string]string{
		"2026-03-01T10:00:00.123Z": "2026-03-01T10:00:00.123Z",
		"2024-02-29T23:59:59.999Z": "2024-02-29T23:59:59.999Z",
		"2026-02-29T10:00:00.123Z": "2026-03-01T12:00:00.005Z", // no such day
		"2026-04-31T10:00:00.123Z": "2026-03-01T12:00:00.005Z",
		"2026-13-01T10:00:00.123Z": "2026-03-01T12:00:00.005Z",
		"2026-03-01T24:00:00.123Z": "2026-03-01T12:00:00.005Z",
		"2026-03-01T10:60:00.123Z": "2026-03-01T12:00:00.005Z",
		"2026-03-01T10:00:60.123Z": "2026-03-01T12:00:00.005Z",
		"2026-03-00T10:00:00.123Z": "2026-03-01T12:00:00.005Z",
		"2026-03-01 10:00:00.123Z": "2026-03-01T12:00:00.005Z",
		"2026-03-01T1a:00:00.123Z": "2026-03-01T12:00:00.005Z",
		"yesterday":                "2026-03-01T12:00:00.005Z",
		"":                         "2026-03-01T12:00:00.005Z",
	} {
		line := encode(&decision.Record{Outcome: decision.Denied, Time: text}, clipAt)
		r, err := decision.Parse([]byte(line))
		require.NoError(t, err, text)
		require.Equal(t, want, r.Time)
	}
}

func TestEncodeCutsAtCharacters(t *testing.T) {
	for s, want := range map[string]string{
		"abcdef":                   "abcd",
		"abcé":                     "abc",
		"ab漢":                      "ab",
		"😀😀":                       "😀",
		"abc":                      "abc",
		"\xbf\xbf\xbf\xbf\xbf\xbf": "",
	} {
		var out struct{ V string }
		require.NoError(t, json.Unmarshal(append(appendString([]byte(`{`), `"V":`, s, 4), '}'), &out))
		require.Equal(t, want, out.V, "%q", s)
	}
}

// Whatever the caller passes, the IdP's own parser takes the line.
func TestAppendTakesAnything(t *testing.T) {
	s := open(t, t.TempDir())
	huge := strings.Repeat("\x01", 100_000)
	r := &decision.Record{
		DecisionID: huge, Time: huge, AgentID: huge, OrganizationID: huge, ClientID: huge, JTI: huge, Method: huge, Host: huge, Path: huge,
		RouteID: huge, Capability: huge, Outcome: decision.Denied, Reason: huge, Status: -1, PolicyRevision: huge, RequestID: huge, Peer: huge,
		BytesIn: -1, BytesOut: math.MinInt64, DurationMs: math.NaN(), Count: -5,
	}
	_, err := s.Append(r)
	require.NoError(t, err)
	r = &decision.Record{Outcome: decision.Error, Path: strings.Repeat("é", 2000), BytesIn: math.MaxInt64, DurationMs: math.Inf(1)}
	_, err = s.Append(r)
	require.NoError(t, err)
	records := drain(t, s)
	require.Len(t, records, 2)
	require.Equal(t, strings.Repeat("\x01", clipHard), records[0].Path)
	require.Equal(t, strings.Repeat("é", 512), records[1].Path)

	for _, outcome := range []decision.Outcome{"", decision.Gap, "maybe"} {
		_, err = s.Append(&decision.Record{Outcome: outcome})
		require.ErrorIs(t, err, errOutcome)
	}
	_, err = s.Append(&decision.Record{Outcome: decision.Allowed, FirstSequence: new(int64)})
	require.ErrorIs(t, err, errOutcome)
	require.Equal(t, int64(2), s.Status().Next)
}

func FuzzEncode(f *testing.F) {
	f.Add("d", "/p\"\\\u2028<", "host\xff", "r", 200, int64(5), 1.5, int64(3))
	f.Add("", "", "", "", -1, int64(-1), 0.0, int64(0))
	f.Add("d", strings.Repeat("\xf8", 1024), strings.Repeat("a\xff", 600), strings.Repeat("\xffé", 500), 400, int64(0), 1.5, int64(0)) // three bytes each to who reads them
	f.Fuzz(func(t *testing.T, id, path, host, reason string, status int, bytesIn int64, ms float64, count int64) {
		r := decision.Record{
			DecisionID: id, Time: "2026-03-01T10:00:00.123Z", Path: path, Host: host, Outcome: decision.Denied, Reason: reason,
			Status: max(status, 0), BytesIn: max(bytesIn, 0), DurationMs: ms, Count: max(count, 0),
		}
		tail, err := encodeTail(nil, &r, noon)
		require.NoError(t, err)
		line := append(appendPrefix(nil, 12, []byte(decision.Hash(nil))), tail...)
		parsed, err := decision.Parse(line)
		require.NoError(t, err, string(line))
		e, ok := parseEntry(line)
		require.True(t, ok)
		require.Equal(t, int64(12), e.sequence)
		if !(ms >= 0) || math.IsInf(ms, 0) || max(len(id), len(path), len(host), len(reason)) > clipHard {
			return
		}
		r.Sequence, r.PrevHash = 12, decision.Hash(nil)
		require.Equal(t, marshal(t, r), string(line))
		if utf8.ValidString(id + " " + path + " " + host + " " + reason) {
			require.Equal(t, r, parsed)
		}
	})
}
