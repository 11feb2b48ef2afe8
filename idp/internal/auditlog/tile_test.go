package auditlog_test

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/auditlog"
	"github.com/sentryagent/agentidp/shared/apierr"
)

func TestATileHasOneSpelling(t *testing.T) {
	for _, row := range []struct {
		level, path string
		want        auditlog.Tile
	}{
		{"0", "000", auditlog.Tile{Width: 256}},
		{"7", "x001/x234/067", auditlog.Tile{Level: 7, Number: 1_234_067, Width: 256}},
		{"63", "999.p/1", auditlog.Tile{Level: 63, Number: 999, Width: 1}},
		{"10", "x001/000.p/255", auditlog.Tile{Level: 10, Number: 1000, Width: 255}},
		{"0", "x999/x999/x999/x999/x999/999", auditlog.Tile{Number: 999_999_999_999_999_999, Width: 256}},
	} {
		tile, err := auditlog.ParseTile(row.level, row.path)
		require.NoError(t, err, row.path)
		require.Equal(t, row.want, tile)
	}
	for _, row := range [][2]string{
		{"", "000"}, {"00", "000"}, {"64", "000"}, {"100", "000"}, {"-1", "000"}, {"+1", "000"}, {"data", "000"}, {"1 ", "000"}, {"1/1", "000"},
		{"0", ""}, {"0", "0"}, {"0", "0000"}, {"0", "x000"}, {"0", "x000/000"}, {"0", "001/000"}, {"0", "x001/x000"}, {"0", "/000"}, {"0", "000/"},
		{"0", "000.p"}, {"0", "000.p/"}, {"0", "000.p/0"}, {"0", "000.p/00"}, {"0", "000.p/01"}, {"0", "000.p/256"}, {"0", "000.p/-1"}, {"0", "000.p/+1"}, {"0", "000.p/1/"},
		{"0", "-01"}, {"0", "+01"}, {"0", "0x1"}, {"0", "x001//000"}, {"0", "x-01/000"}, {"0", "../000"}, {"0", "00\x00"}, {"0", "x001/000.p/1.p/1"},
		{"0", "x999/x999/x999/x999/x999/x999/x999/999"},
	} {
		_, err := auditlog.ParseTile(row[0], row[1])
		requireRefusal(t, err, apierr.ValidationFailed, "validation_failed")
	}
}

// FuzzParseTile: no panic; what is accepted is in bounds and spelt as x/mod spells it.
func FuzzParseTile(f *testing.F) {
	f.Add("0", "000")
	f.Add("63", "x001/x234/067.p/255")
	f.Add("data", "x999/x999/x999/x999/x999/x999/999")
	f.Fuzz(func(t *testing.T, level, path string) {
		tile, err := auditlog.ParseTile(level, path)
		if err != nil {
			requireRefusal(t, err, apierr.ValidationFailed, "validation_failed")
			return
		}
		require.True(t, tile.Level >= 0 && tile.Level <= 63 && tile.Number >= 0 && tile.Width >= 1 && tile.Width <= 256)
		require.Equal(t, "tile/8/"+level+"/"+path, tlog.Tile{H: 8, L: tile.Level, N: tile.Number, W: tile.Width}.Path())
	})
}

func TestWithoutACheckpointThereIsNothing(t *testing.T) {
	f := newTimed(t)
	_, err := f.log.Tile(t.Context(), auditlog.Tile{Width: 1})
	requireRefusal(t, err, apierr.NotFound, "not_found")
	_, err = f.log.Export(t.Context(), ndjson(""), idp.Event{OrganizationID: "acme"})
	requireRefusal(t, err, apierr.NotFound, "not_found")
}

// An event that no bundle could hold is refused before anything happens.
func TestAnEventHasABound(t *testing.T) {
	f := newTimed(t)
	event := func(size int) idp.Event {
		return idp.Event{OrganizationID: "default", Action: idp.ActionAgentUpdated, Outcome: idp.Success, Metadata: map[string]any{"text": strings.Repeat("x", size)}}
	}
	largest := 0
	for size := 65_535; size > 65_000 && largest == 0; size-- {
		if f.log.Append(t.Context(), event(size)) == nil {
			largest = size
		}
	}
	require.Positive(t, largest)
	f.covered()
	bundle, err := f.log.Entries(t.Context(), auditlog.Tile{Width: 1})
	require.NoError(t, err)
	require.Len(t, bundle, 2+65_535-18, "room for any sequence is kept")
	require.Equal(t, len(bundle)-2, int(binary.BigEndian.Uint16(bundle)))
	require.Nil(t, f.hold(f.export(ndjson(""))).Problem)
}
