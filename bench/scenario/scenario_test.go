package scenario

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/bench/load"
	"github.com/sentryagent/agentidp/bench/result"
	"github.com/sentryagent/agentidp/shared/decision"
)

func TestScenariosAreFoundByTheirNames(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range All {
		require.False(t, seen[s.Name], s.Name)
		seen[s.Name] = true
		require.NotEmpty(t, s.About)
		require.Equal(t, s.Name, Find(s.Name).Name)
	}
	require.Nil(t, Find("nothing"))
}

func TestSubjectsAreMeasuredInTurnWithinEachRound(t *testing.T) {
	var order []string
	measure := func(name string, fail error) func(context.Context) (measured, error) {
		return func(context.Context) (measured, error) {
			order = append(order, name)
			r := load.NewResult(name)
			r.Record(time.Millisecond)
			return measured{result.Sample{result.PerSecond: float64(len(order))}, r.Latency}, fail
		}
	}
	said := 0
	r := &Run{Say: func(result.Row, int) { said++ }}
	rows, err := r.interleave(t.Context(), 3, newSubject("s", "a", nil, measure("a", nil)), newSubject("s", "b", nil, measure("b", invalidf("%d lost", 1))))
	require.NoError(t, err)
	require.Equal(t, "ababab", strings.Join(order, ""))
	require.Equal(t, 6, said)
	require.Len(t, rows, 2)
	require.Equal(t, []result.Sample{{result.PerSecond: 1}, {result.PerSecond: 3}, {result.PerSecond: 5}}, rows[0].Rounds)
	require.Empty(t, rows[0].Invalid)
	require.Equal(t, "1 lost", rows[1].Invalid)
	require.Len(t, rows[1].Rounds, 3, "rounds of rows stay in step")
	latency, err := load.Decode(rows[0].Histogram)
	require.NoError(t, err)
	require.EqualValues(t, 3, latency.TotalCount())

	_, err = r.interleave(t.Context(), 1, newSubject("s", "a", nil, measure("a", errors.New("gone"))))
	require.ErrorContains(t, err, "s/a: gone")
}

func TestRatesAreRungsOfALadder(t *testing.T) {
	for _, c := range []struct {
		top  float64
		want []float64
	}{
		{0.5, nil},
		{1, []float64{1}},
		{12, []float64{2, 3, 5, 7, 10}},
		{34_000, []float64{5_000, 7_000, 10_000, 20_000, 30_000}},
	} {
		require.Equal(t, c.want, ladder(c.top), "%g", c.top)
	}
}

// A batch that was made and not sent is made again: the chain has no gaps.
func TestDecisionsAreChained(t *testing.T) {
	c := chain{}
	bodies, err := c.batches(3, 4)
	require.NoError(t, err)
	require.EqualValues(t, 12, c.next)
	require.Len(t, c.anchors, 4)
	require.Equal(t, c.anchor, c.anchors[3])
	anchor, sequence := "", int64(0)
	for _, body := range bodies {
		for line := range strings.Lines(string(body)) {
			line = strings.TrimSuffix(line, "\n")
			var record decision.Record
			require.NoError(t, json.Unmarshal([]byte(line), &record))
			require.Equal(t, sequence, record.Sequence)
			require.Equal(t, anchor, record.PrevHash)
			anchor, sequence = record.Anchor([]byte(line)), sequence+1
		}
	}
	require.Equal(t, anchor, c.anchor)
}

func TestTheRawStoreTakesWhatItIsGiven(t *testing.T) {
	w, err := openRaw(t.Context(), "", t.TempDir())
	require.NoError(t, err)
	defer w.close()
	require.NoError(t, w.insert(t.Context(), 1))
	require.NoError(t, w.insert(t.Context(), 500))
	var rows, bytes int
	require.NoError(t, w.db.QueryRowContext(t.Context(), `SELECT count(*), max(length(body)) FROM raw`).Scan(&rows, &bytes))
	require.Equal(t, 501, rows)
	require.Equal(t, rawBody, bytes)
	require.Equal(t, "insert", w.name(1))
	require.Equal(t, "batch", w.name(500))
}

func TestRowsOfBatchesAreCompared(t *testing.T) {
	loaded := load.NewResult("x")
	loaded.Record(time.Millisecond)
	m, err := perRow(loaded, 500)
	require.NoError(t, err)
	require.InDelta(t, 500, m.sample[result.PerSecond], 1e-9)
	loaded.Errors = 1
	_, err = perRow(loaded, 500)
	require.ErrorAs(t, err, &invalid{})
}
