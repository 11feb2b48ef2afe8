package decision

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The parser knows every member that a record has, and only those.
func TestMembersAreTheRecords(t *testing.T) {
	var names []string
	for i, r := 0, reflect.TypeFor[Record](); i < r.NumField(); i++ {
		name, _, _ := strings.Cut(r.Field(i).Tag.Get("json"), ",")
		names = append(names, name)
	}
	require.Equal(t, names, members[:])
	first := int64(3)
	full := Record{
		Sequence: 9, PrevHash: Hash(nil), DecisionID: "a", Time: "2026-03-01T10:00:00.123Z", AgentID: "b", OrganizationID: "c", ClientID: "d", JTI: "e", Method: "f",
		Host: "g", Path: "h", RouteID: "i", Capability: "j", Outcome: Gap, Reason: "k", Status: 1, PolicyRevision: "l", RequestID: "m", Peer: "n", BytesIn: 2,
		BytesOut: 3, DurationMs: 0.5, Count: 4, FirstSequence: &first,
	}
	line, err := json.Marshal(full)
	require.NoError(t, err)
	r, err := Parse(line)
	require.NoError(t, err)
	require.Equal(t, full, r)
}

// What is accepted is read as encoding/json reads it, times as package time does.
func FuzzParseLikeJSON(f *testing.F) {
	f.Add([]byte(line))
	f.Add([]byte(`{"sequence":0,"path":"\ud83d\ude00\ud83d \u0000 \/ \"","host":"ÿ` + "\xff" + `","time":"2028-02-29T23:59:59.999Z","outcome":"error","durationMs":1.5e-3}`))
	f.Add([]byte(`{"sequence":01,"time":"2026-02-29T10:00:00.123Z","outcome":"error","status":1.0,"bytesIn":-0,"durationMs":.5}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Parse(data)
		if err != nil {
			return
		}
		var by Record
		require.NoError(t, json.Unmarshal(data, &by))
		require.Equal(t, by, r)
		_, err = time.Parse(TimeLayout, r.Time)
		require.NoError(t, err)
	})
}

// Nothing is refused that encoding/json takes and no rule of ours forbids.
func TestParseTakesEverySpelling(t *testing.T) {
	for _, value := range []string{`"host":""`, `"host":"\u00e9\n\/"`, `"host":"é"`, `"status":0`, `"status":-0`, `"bytesIn":9223372036854775807`, `"durationMs":0`, `"durationMs":1E+2`, `"durationMs":1e-7`, `"durationMs":12.50`} {
		text := `{"sequence":0,"time":"2024-02-29T00:00:00.000Z","outcome":"denied",` + value + "}"
		var want Record
		require.NoError(t, json.Unmarshal([]byte(text), &want))
		got, err := Parse([]byte(text))
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for _, value := range []string{`"status":01`, `"status":+1`, `"status":1.`, `"status":.5`, `"status":1e`, `"status":-`, `"status":0x1`, `"host":"\x"`, `"host":"\u12"`, "\"host\":\"\n\"", `"host":"`, `"host":'a'`, `"host":true`, `"durationMs":NaN`, `"durationMs":1e`, `"status":1e2`} {
		text := `{"sequence":0,"time":"2024-02-29T00:00:00.000Z","outcome":"denied",` + value + "}"
		require.Error(t, json.Unmarshal([]byte(text), &Record{}), text)
		_, err := Parse([]byte(text))
		require.ErrorIs(t, err, ErrRecord, text)
	}
	for _, at := range []string{"2026-00-01T00:00:00.000Z", "2026-13-01T00:00:00.000Z", "2026-04-31T00:00:00.000Z", "2026-02-29T00:00:00.000Z", "1900-02-29T00:00:00.000Z", "2026-01-00T00:00:00.000Z", "2026-01-01T24:00:00.000Z", "2026-01-01T00:60:00.000Z", "2026-01-01T00:00:60.000Z", "2026-01-01T00:00:00,000Z", "2026-03-01T10:0d:00.123Z", "dddd-dd-ddTdd:dd:dd.dddZ"} {
		require.False(t, isTime(at), at)
	}
	require.True(t, isTime("2000-02-29T23:59:59.999Z"))
}
