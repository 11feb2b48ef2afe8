package decision

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const line = `{"sequence":7,"prevHash":"","decisionId":"d","time":"2026-03-01T10:00:00.123Z","method":"GET","path":"/notes/1","outcome":"allowed","reason":"capability","status":200,"durationMs":1.25}`

func TestParse(t *testing.T) {
	r, err := Parse([]byte(line))
	require.NoError(t, err)
	require.Equal(t, Record{
		Sequence: 7, DecisionID: "d", Time: "2026-03-01T10:00:00.123Z", Method: "GET", Path: "/notes/1", Outcome: Allowed, Reason: "capability",
		Status: 200, DurationMs: 1.25,
	}, r)
	require.Equal(t, int64(7), r.First())
	again, err := json.Marshal(r)
	require.NoError(t, err)
	require.Equal(t, line, string(again))
}

func TestParseAccepts(t *testing.T) {
	for _, text := range []string{
		`{"sequence":0,"time":"2026-03-01T10:00:00.123Z","outcome":"denied"}`,
		` { "sequence" : 0 , "time" : "2026-03-01T10:00:00.123Z" , "outcome" : "error" } `,
		`{"sequence":0,"time":"2026-03-01T10:00:00.123Z","outcome":"gap"}`,
		`{"sequence":9,"firstSequence":9,"time":"2026-03-01T10:00:00.123Z","outcome":"gap","count":1}`,
		`{"sequence":9,"firstSequence":0,"time":"2026-03-01T10:00:00.123Z","outcome":"gap","count":10}`,
		`{"sequence":0,"time":"2026-03-01T10:00:00.123Z","outcome":"denied","path":"/\"sequence\":1,\\","host":"null:null"}`,
		`{"sequence":0,"prevHash":"` + Hash(nil) + `","time":"2026-03-01T10:00:00.123Z","outcome":"denied"}`,
		`{"sequence":0,"time":"2026-03-01T10:00:00.123Z","outcome":"denied","path":"/` + strings.Repeat("x", MaxPathBytes-1) + `"}`,
	} {
		_, err := Parse([]byte(text))
		require.NoError(t, err, text)
	}
}

func TestParseRefuses(t *testing.T) {
	for what, text := range map[string]string{
		"nothing":            ``,
		"an array":           `[]`,
		"null":               `null`,
		"two values":         line + line,
		"a rest":             line + `}`,
		"unknown member":     strings.Replace(line, `"method"`, `"verb"`, 1),
		"a member twice":     strings.Replace(line, `"status":200`, `"status":200,"status":403`, 1),
		"other case":         strings.Replace(line, `"status"`, `"Status"`, 1),
		"both cases":         strings.Replace(line, `"status":200`, `"status":200,"STATUS":403`, 1),
		"an escaped name":    strings.Replace(line, `"status"`, `"\u0073tatus"`, 1),
		"a null":             strings.Replace(line, `200`, `null`, 1),
		"a spaced null":      strings.Replace(line, `:200`, ` : null`, 1),
		"no sequence":        strings.Replace(line, `"sequence":7,`, ``, 1),
		"negative sequence":  strings.Replace(line, `:7,`, `:-1,`, 1),
		"a fraction":         strings.Replace(line, `:7,`, `:7.5,`, 1),
		"past int64":         strings.Replace(line, `:7,`, `:9223372036854775808,`, 1),
		"a string":           strings.Replace(line, `:7,`, `:"7",`, 1),
		"time":               strings.Replace(line, `.123Z`, `Z`, 1),
		"time zone":          strings.Replace(line, `.123Z`, `.123+00:00`, 1),
		"no day":             strings.Replace(line, `03-01`, `02-30`, 1),
		"outcome":            strings.Replace(line, `allowed`, `maybe`, 1),
		"firstSequence":      strings.Replace(line, `"status":200`, `"firstSequence":7`, 1),
		"reversed gap":       `{"sequence":9,"firstSequence":10,"time":"2026-03-01T10:00:00.123Z","outcome":"gap"}`,
		"negative first":     `{"sequence":9,"firstSequence":-1,"time":"2026-03-01T10:00:00.123Z","outcome":"gap"}`,
		"negative count":     `{"sequence":9,"count":-1,"time":"2026-03-01T10:00:00.123Z","outcome":"gap"}`,
		"negative bytes":     strings.Replace(line, `"status":200`, `"bytesIn":-1`, 1),
		"negative duration":  strings.Replace(line, `1.25`, `-1.25`, 1),
		"infinite duration":  strings.Replace(line, `1.25`, `1e999`, 1),
		"short prevHash":     strings.Replace(line, `"prevHash":""`, `"prevHash":"00"`, 1),
		"upper-case hash":    strings.Replace(line, `"prevHash":""`, `"prevHash":"`+strings.ToUpper(Hash(nil))+`"`, 1),
		"prevHash not hex":   strings.Replace(line, `"prevHash":""`, `"prevHash":"`+strings.Repeat("z", 64)+`"`, 1),
		"long path":          strings.Replace(line, `/notes/1`, strings.Repeat("x", MaxPathBytes+1), 1),
		"long line":          strings.Replace(line, `GET`, strings.Repeat("x", MaxLine), 1),
		"an object in there": strings.Replace(line, `200`, `{}`, 1),
	} {
		_, err := Parse([]byte(text))
		require.ErrorIs(t, err, ErrRecord, what)
	}
}

// chain parses lines and answers whether each may follow the one before.
func chain(t *testing.T, lines ...string) []bool {
	t.Helper()
	var linked []bool
	anchor := ""
	for _, text := range lines {
		r, err := Parse([]byte(text))
		require.NoError(t, err, text)
		linked = append(linked, r.Linked(anchor))
		anchor = r.Anchor([]byte(text))
	}
	return linked
}

func TestChain(t *testing.T) {
	record := func(sequence int, before string) string {
		return fmt.Sprintf(`{"sequence":%d,"prevHash":%q,"time":"2026-03-01T10:00:00.123Z","outcome":"denied"}`, sequence, before)
	}
	gap := func(first string, sequence int, before string) string {
		return fmt.Sprintf(`{"sequence":%d,%s"prevHash":%q,"time":"2026-03-01T10:00:00.123Z","outcome":"gap"}`, sequence, first, before)
	}
	a := record(0, "")
	b := record(1, Hash([]byte(a)))
	require.Equal(t, []bool{true, true}, chain(t, a, b))
	require.Equal(t, []bool{true, false}, chain(t, a, record(1, "")), "a decision cannot restart the chain")
	require.Equal(t, []bool{true, false}, chain(t, a, record(1, Hash(nil))))

	g := gap("", 1, Hash([]byte(a)))
	require.Equal(t, []bool{true, true, true}, chain(t, a, g, record(2, Hash([]byte(g)))))
	require.Equal(t, []bool{true, true, false}, chain(t, a, g, record(2, Hash(nil))), "a gap with its own sequence is a link like any")
	require.Equal(t, []bool{true, false}, chain(t, a, gap("", 1, Hash(nil))))
	require.Equal(t, []bool{true, true}, chain(t, a, gap("", 1, "")), "a gap may restart it")

	lost := gap(`"firstSequence":1,`, 5, Hash([]byte(a)))
	require.Equal(t, []bool{true, true, true}, chain(t, a, lost, record(6, Hash([]byte("lost")))), "nobody has the line it was chained to")
	require.Equal(t, []bool{true, true}, chain(t, a, gap(`"firstSequence":1,`, 5, "")))
	require.Equal(t, []bool{true, false}, chain(t, a, gap(`"firstSequence":1,`, 5, Hash(nil))))
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(line))
	f.Add([]byte(`{"sequence":9,"firstSequence":9,"time":"2026-03-01T10:00:00.123Z","outcome":"gap","count":1}`))
	f.Add([]byte(`{"sequence":0,"path":"\"\\","time":"2026-03-01T10:00:00.123Z","outcome":"error"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Parse(data)
		if err != nil {
			require.ErrorIs(t, err, ErrRecord)
			return
		}
		require.LessOrEqual(t, r.First(), r.Sequence)
		// What is accepted survives being written and read again.
		again, err := json.Marshal(r)
		require.NoError(t, err)
		if len(again) > MaxLine {
			return // encoding/json escapes more than a line may hold
		}
		second, err := Parse(again)
		require.NoError(t, err, string(again))
		require.Equal(t, r, second)
	})
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse([]byte(line)); err != nil {
			b.Fatal(err)
		}
	}
}
