package decision

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// batchOf chains decisions and, where gaps says so, gaps.
func batchOf(t *testing.T, gaps ...bool) (lines []byte, hashes []string) {
	t.Helper()
	anchor := ""
	for i, gap := range gaps {
		r := Record{Sequence: int64(i), PrevHash: anchor, DecisionID: fmt.Sprint("d", i), Time: "2026-07-01T12:00:00.000Z", Path: `/"prevHash":"`, Outcome: Allowed}
		if gap {
			first := int64(i)
			r.DecisionID, r.Outcome, r.FirstSequence = "", Gap, &first
		}
		line, err := json.Marshal(r)
		require.NoError(t, err)
		anchor = r.Anchor(line)
		lines, hashes = append(append(lines, line...), '\n'), append(hashes, Hash(line))
	}
	return lines, hashes
}

func shortOf(lines []byte) []byte { return bytes.Join(slices.Collect(Short(lines)), nil) }

func TestShortAndRestored(t *testing.T) {
	for name, c := range map[string]struct {
		gaps []bool
		kept []int // lines that keep their prevHash
	}{
		"nothing":               {nil, nil},
		"one":                   {[]bool{false}, []int{0}},
		"first and last":        {[]bool{false, false, false, false, false}, []int{0, 1, 4}},                       // the first has none, so nothing follows it
		"a gap, and behind one": {[]bool{false, false, false, true, false, false, false}, []int{0, 1, 3, 4, 5, 6}}, // the one behind it has none here
	} {
		t.Run(name, func(t *testing.T) {
			lines, hashes := batchOf(t, c.gaps...)
			var restored []byte
			var kept []int
			anchor, n := "", 0
			for line := range bytes.Lines(shortOf(lines)) {
				line = bytes.TrimSuffix(line, []byte("\n"))
				whole, short := Restore(nil, line, anchor)
				if !short {
					whole, kept = line, append(kept, n)
				}
				r, err := Parse(whole)
				require.NoError(t, err)
				require.Equal(t, hashes[n], Hash(whole))
				anchor, n, restored = r.Anchor(whole), n+1, append(append(restored, whole...), '\n')
			}
			require.Equal(t, string(lines), string(restored))
			require.Equal(t, c.kept, kept)
		})
	}
}

func TestOnlyShortLinesAreRestored(t *testing.T) {
	anchor := Hash(nil)
	for _, line := range []string{
		``, `{}`, `{"sequence":`, `{"sequence":7}`, `{"sequence":7,"time":"x"}`, `{"sequence":7,"prevHash":"","decisionId":"d"}`,
		` {"sequence":7,"decisionId":"d"}`, `{"sequence": 7,"decisionId":"d"}`, `{"sequence":7 ,"decisionId":"d"}`,
	} {
		_, short := Restore(nil, []byte(line), anchor)
		require.False(t, short, line)
	}
	_, short := Restore(nil, []byte(`{"sequence":7,"decisionId":"d"}`), "")
	require.False(t, short, "behind a line whose hash is unknown")
	for _, lines := range []string{"", "x", "x\ny\n", `{"sequence":1,"prevHash":"` + anchor + `","decisionId":"d"}`} {
		require.Equal(t, lines, string(shortOf([]byte(lines))))
	}
}
