package feed

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCursor(t *testing.T) {
	for _, c := range []Cursor{{"e", 0}, {"01J8Z", 9_223_372_036_854_775_807}, {"a-b_c", 42}} {
		parsed, err := ParseCursor(c.String())
		require.NoError(t, err)
		require.Equal(t, c, parsed)
	}
	for _, text := range []string{
		"", ".", "e", "e.", ".1", "e.-1", "e.+1", "e.01", "e.1.2", "e. 1", "e.1 ", "e.0x1", "e.9223372036854775808", "e.x",
		strings.Repeat("e", 127) + ".1",
	} {
		_, err := ParseCursor(text)
		require.ErrorIs(t, err, ErrCursor, text)
		require.Less(t, len(err.Error()), 400, "a foreign text is cut")
	}
}

// The wire form of entries: each kind has exactly its members.
func TestEntryForm(t *testing.T) {
	const at = "2026-03-01T10:00:00.123Z"
	for want, entry := range map[string]Entry{
		`{"seq":1,"type":"agent","id":"a","epoch":4,"reason":"suspended","at":"` + at + `"}`:    {Seq: 1, Type: TypeAgent, ID: "a", Epoch: 4, Reason: "suspended", At: at},
		`{"seq":2,"type":"jti","id":"j","exp":1700000000,"reason":"revoked","at":"` + at + `"}`: {Seq: 2, Type: TypeJTI, ID: "j", Exp: 1700000000, Reason: "revoked", At: at},
		`{"seq":3,"type":"kid","id":"k","reason":"leaked","at":"` + at + `"}`:                   {Seq: 3, Type: TypeKID, ID: "k", Reason: "leaked", At: at},
	} {
		got, err := json.Marshal(entry)
		require.NoError(t, err)
		require.Equal(t, want, string(got))
		var back Entry
		require.NoError(t, json.Unmarshal(got, &back))
		require.Equal(t, entry, back)
	}
}

func FuzzParseCursor(f *testing.F) {
	f.Add("e.1")
	f.Add("a.b.2")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseCursor(text)
		if err != nil {
			require.ErrorIs(t, err, ErrCursor)
			return
		}
		require.Equal(t, text, c.String(), "one spelling for one cursor")
		require.NotEmpty(t, c.Epoch)
		require.GreaterOrEqual(t, c.Seq, int64(0))
	})
}
