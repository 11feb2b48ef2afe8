package sqlite

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

// Tables that Dump reads by a method of their own, or that are derived.
var (
	dumpedOtherwise = []string{"events", "event_counts", "tree_hashes", "tree_head", "revocation_head"}
	derived         = []string{"event_segments", "event_kinds", "event_targets", "agent_counts", "credential_ends", "credential_ages"}
	ofTheSchema     = []string{"goose_db_version", "sqlite_sequence"}
)

// A table or column that is new is lost in a move unless somebody says where it goes.
func TestEveryTableAndColumnIsDumped(t *testing.T) {
	s := memory(t)
	names := func(query string, args ...any) (found []string) {
		require.NoError(t, s.view(t.Context(), func(ctx context.Context, tx *transaction) (err error) {
			found, err = list(ctx, tx, query, scanText, args...)
			return err
		}))
		return found
	}
	expected := slices.Concat(dumpedOtherwise, derived, ofTheSchema)
	for _, table := range store.Tables {
		expected = append(expected, table.Name)
		columns := names("SELECT name FROM pragma_table_info(?1)", table.Name)
		if table.Name == "checkpoints" {
			columns = slices.DeleteFunc(columns, func(name string) bool { return name == "id" }) // numbers the rows in order
		}
		require.ElementsMatch(t, columns, table.Columns, table.Name)
	}
	require.ElementsMatch(t, names("SELECT name FROM sqlite_schema WHERE type = 'table'"), expected)
	require.Equal(t, []string{"sequence", "event_id", "organization_id", "agent_id", "action", "outcome", "timestamp", "body", "retention"},
		names("SELECT name FROM pragma_table_info('events')"))
}

func TestDumpReadsOneSnapshot(t *testing.T) {
	s := memory(t)
	ctx := t.Context()
	write := func(name string) {
		require.NoError(t, s.Update(ctx, func(ctx context.Context, tx *store.Tx) error { return put(ctx, tx, name) }))
	}
	write("a")
	require.NoError(t, s.Dump(ctx, func(ctx context.Context, d store.Dump) error {
		rows := func() (n int) {
			require.NoError(t, d.Rows(ctx, "settings", func(row []any) error { n++; require.Equal(t, row[0], row[1]); return nil }))
			return n
		}
		require.Equal(t, 1, rows())
		write("b")
		require.Equal(t, 1, rows())
		require.ErrorContains(t, d.Rows(ctx, "goose_db_version", nil), "no table")
		require.ErrorIs(t, d.Rows(ctx, "settings", func([]any) error { return errLook }), errLook)
		for _, table := range store.Tables {
			require.NoError(t, d.Rows(ctx, table.Name, func(row []any) error { require.Len(t, row, len(table.Columns)); return nil }), table.Name)
		}
		return nil
	}))
	cancelled, cancel := context.WithCancel(ctx)
	require.ErrorIs(t, s.Dump(cancelled, func(ctx context.Context, d store.Dump) error {
		cancel()
		return d.Rows(ctx, "settings", func([]any) error { return nil })
	}), context.Canceled)
}

func TestDumpVisitsEventsCountsAndHashes(t *testing.T) {
	s := memory(t)
	at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	rows := make([]store.EventRow, 100)
	for i := range rows {
		rows[i] = store.EventRow{
			Sequence: int64(i), ID: string(rune('A'+i%26)) + string(rune('A'+i/26)), OrganizationID: "acme", AgentID: "agent",
			Action: idp.ActionTokenIssued, Outcome: idp.Success, Timestamp: at, Body: []byte(`{}`),
		}
	}
	hashes := make([][32]byte, 197) // of 100 leaves
	for i := range hashes {
		hashes[i][0] = byte(i)
	}
	require.NoError(t, s.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		require.NoError(t, tx.Events.Append(ctx, rows))
		return tx.Tree.Append(ctx, 0, hashes, 100)
	}))
	require.NoError(t, s.Dump(t.Context(), func(ctx context.Context, d store.Dump) error {
		var events []store.EventRow
		require.NoError(t, d.Events(ctx, func(e store.EventRow, class store.Class) error {
			events = append(events, e)
			require.Equal(t, store.ClassCustom, class)
			return nil
		}))
		require.Equal(t, rows, events)
		var counted int64
		require.NoError(t, d.Counts(ctx, func(n store.Tally) error { counted += n.Count; return nil }))
		require.Equal(t, int64(600), counted, "three steps, the organization and all")
		var read [][32]byte
		require.NoError(t, d.Hashes(ctx, func(first int64, some [][32]byte) error {
			require.Equal(t, int64(len(read)), first)
			read = append(read, some...)
			return nil
		}))
		require.Equal(t, hashes, read)
		for _, err := range []error{
			d.Events(ctx, func(store.EventRow, store.Class) error { return errLook }),
			d.Counts(ctx, func(store.Tally) error { return errLook }),
			d.Hashes(ctx, func(int64, [][32]byte) error { return errLook }),
		} {
			require.ErrorIs(t, err, errLook)
		}
		size, err := d.Tx().Tree.Size(ctx)
		require.Equal(t, int64(100), size)
		return err
	}))
}
