package storetest

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

// march is the month of the sample events.
var march = time.Date(2026, time.March, 1, 0, 0, 0, 0, time.UTC)

var april = march.AddDate(0, 1, 0)

var retentionFacts = []fact{
	{"the class is the plan when the event is written", func(t *testing.T, b Backend) {
		insertOrganizations(t, b.DB, organization("acme"), custom("grown"))
		appendEvents(t, b.DB, of("acme", 0), of("grown", 1), of("nobody", 2), pruningEvent(3))
		changed := organization("acme")
		changed.Plan = idp.PlanCustom
		update(t, b.DB, func(ctx context.Context, tx *store.Tx) error {
			if err := tx.Organizations.Update(ctx, changed); err != nil {
				return err
			}
			founding := of("acme", 5)
			founding.Action = idp.ActionOrganizationUpdated
			return tx.Events.Append(ctx, []store.EventRow{of("acme", 4), founding})
		})
		want := []store.Class{store.ClassFree, store.ClassCustom, store.ClassCustom, store.ClassRecord, store.ClassCustom, store.ClassRecord}
		require.Equal(t, want, classes(t, b.DB, 0, 9))
		require.Equal(t, want[1:3], classes(t, b.DB, 1, 2))
		require.Empty(t, classes(t, b.DB, 6, 100))
	}},
	{"due is the oldest month that has ended", func(t *testing.T, b Backend) {
		insertOrganizations(t, b.DB, organization("acme"), custom("grown"))
		appendEvents(t, b.DB, in(april, of("acme", 0)), of("acme", 1), of("grown", 2), of("acme", 3), in(april.AddDate(0, 1, 0).Add(-time.Millisecond), of("grown", 4)))
		due := func(class store.Class, ended time.Time) store.DueMonth {
			return read(t, b.DB, func(ctx context.Context, tx *store.Tx) (store.DueMonth, error) {
				return tx.Retention.Due(ctx, class, ended)
			})
		}
		for _, ended := range []time.Time{april, april.AddDate(1, 0, 0)} {
			require.Equal(t, store.DueMonth{Start: march, First: 1, Last: 3}, due(store.ClassFree, ended))
			require.Equal(t, store.DueMonth{Start: march, First: 2, Last: 2}, due(store.ClassCustom, ended))
		}
		for class, ended := range map[store.Class]time.Time{store.ClassFree: april.Add(-time.Millisecond), store.ClassRecord: april.AddDate(9, 0, 0)} {
			absent(t, b.DB, idp.ErrNotFound, func(ctx context.Context, tx *store.Tx) (store.DueMonth, error) {
				return tx.Retention.Due(ctx, class, ended)
			})
		}
		require.Equal(t, []int64{1, 3}, sequences(t, b.DB, store.ClassFree, march, 0, 9))
		require.Equal(t, []int64{1}, sequences(t, b.DB, store.ClassFree, march, 1, 3))
		require.Equal(t, []int64{0}, sequences(t, b.DB, store.ClassFree, april, 0, 9))
		require.Equal(t, []int64{4}, sequences(t, b.DB, store.ClassCustom, april, 0, 9))
	}},
	{"what is recorded comes back, and stays", func(t *testing.T, b Backend) {
		one, other := pruned(t, 1, 0, 4095), pruned(t, 2, 9000, 4096)
		recordAll(t, b.DB, other[1], one[0], other[0])
		want := []store.PrunedSegment{one[0], other[0], other[1]}
		require.Equal(t, want, segments(t, b.DB, 0, 9))
		require.Equal(t, want[1:2], segments(t, b.DB, 1, 2))
		refuse(t, b.DB, errFact, func(ctx context.Context, tx *store.Tx) error {
			require.NoError(t, tx.Retention.Record(ctx, pruned(t, 3, 7)))
			return errFact
		})
		require.Error(t, b.DB.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error { return tx.Retention.Record(ctx, one) }))
		for _, tamper := range []string{"UPDATE pruned_segments SET segment = 7", "DELETE FROM pruned_segments"} {
			require.Error(t, b.Exec(t.Context(), tamper), tamper)
		}
		require.Equal(t, want, segments(t, b.Reopen(t), 0, 9))
	}},
	{"nothing goes that is not recorded", func(t *testing.T, b Backend) {
		insertOrganizations(t, b.DB, organization("acme"))
		var rows []store.EventRow
		for sequence := range int64(20) {
			rows = append(rows, of("acme", sequence))
		}
		appendEvents(t, b.DB, rows...)
		all := make([]int64, 0, 20)
		for sequence := range int64(20) {
			if sequence != 13 {
				all = append(all, sequence)
			}
		}
		require.False(t, drop(t, b.DB, store.ClassFree, march))
		require.True(t, drop(t, b.DB, store.ClassCustom, march), "there is nothing")
		require.Len(t, rangeEvents(t, b.DB, "", 0, 100), 20)
		recordAll(t, b.DB, pruned(t, 1, all...)...)
		require.Error(t, b.Exec(t.Context(), "DELETE FROM events WHERE sequence = 13"))
		require.False(t, drop(t, b.DB, store.ClassFree, march))
		require.Equal(t, rows[13], getEvent(t, b.DB, "acme", rows[13].ID))
		recordAll(t, b.DB, pruned(t, 2, 13)...)
		require.True(t, drop(t, b.DB, store.ClassFree, march))
		require.Empty(t, rangeEvents(t, b.DB, "", 0, 100))
	}},
	{"what is left is read over the holes", func(t *testing.T, b Backend) {
		rows := randomEvents(5000)
		insertOrganizations(t, b.DB, organization("a"), custom("b"))
		appendEvents(t, b.DB, rows...)
		appendEvents(t, b.DB, pruningEvent(5000))
		gone := sequences(t, b.DB, store.ClassFree, march, 0, 10_000)
		recordAll(t, b.DB, pruned(t, 1, gone...)...)
		require.True(t, drop(t, b.DB, store.ClassFree, march))
		require.True(t, drop(t, b.DB, store.ClassFree, march), "again")
		absent(t, b.DB, idp.ErrNotFound, func(ctx context.Context, tx *store.Tx) (store.DueMonth, error) {
			return tx.Retention.Due(ctx, store.ClassFree, april)
		})
		left := slices.DeleteFunc(append(rows, pruningEvent(5000)), func(e store.EventRow) bool { return e.OrganizationID == "a" })
		require.Len(t, left, 5001-len(gone))
		require.Equal(t, left[:1000], rangeEvents(t, b.DB, "", 0, 1000))
		require.Equal(t, left[len(left)-1], rangeEvents(t, b.DB, "", 4990, 1000)[len(rangeEvents(t, b.DB, "", 4990, 1000))-1])
		require.Empty(t, rangeEvents(t, b.DB, "a", 0, 10))
		require.Empty(t, listEvents(t, b.DB, store.EventFilter{OrganizationID: "a", Limit: 10}))
		for _, filter := range eventFilters() {
			requireSame(t, pageOf(left, filter), listEvents(t, b.DB, filter), filter)
		}
		absent(t, b.DB, idp.ErrNotFound, func(ctx context.Context, tx *store.Tx) (store.EventRow, error) {
			return tx.Events.Get(ctx, "", rows[slices.IndexFunc(rows, func(e store.EventRow) bool { return e.OrganizationID == "a" })].ID)
		})
		require.EqualValues(t, -1, hiddenEvent(t, b.DB))
		appendEvents(t, b.DB, of("a", 5001))
		require.Len(t, rangeEvents(t, b.Reopen(t), "a", 0, 10), 1)
	}},
	{"a month that is gone may come again", func(t *testing.T, b Backend) {
		insertOrganizations(t, b.DB, organization("acme"))
		appendEvents(t, b.DB, of("acme", 0), pruningEvent(1))
		recordAll(t, b.DB, pruned(t, 1, 0)...)
		require.True(t, drop(t, b.DB, store.ClassFree, march))
		appendEvents(t, b.DB, of("acme", 2)) // the clock was set back
		require.False(t, drop(t, b.DB, store.ClassFree, march))
		due := read(t, b.DB, func(ctx context.Context, tx *store.Tx) (store.DueMonth, error) {
			return tx.Retention.Due(ctx, store.ClassFree, april)
		})
		require.Equal(t, store.DueMonth{Start: march, First: 2, Last: 2}, due)
		recordAll(t, b.DB, pruned(t, 2, 2)...)
		require.True(t, drop(t, b.DB, store.ClassFree, march))
		require.Equal(t, []store.EventRow{pruningEvent(1)}, rangeEvents(t, b.DB, "", 0, 10))
	}},
	{"a whole segment goes with its month", func(t *testing.T, b Backend) {
		insertOrganizations(t, b.DB, organization("acme"))
		var rows []store.EventRow
		var gone []int64
		for sequence := range int64(2*4096 + 10) {
			e := of("acme", sequence)
			e.Timestamp = noon.Add(time.Duration(sequence) * time.Millisecond)
			rows, gone = append(rows, e), append(gone, sequence)
		}
		appendEvents(t, b.DB, rows...)
		appendEvents(t, b.DB, in(april, pruningEvent(2*4096+10)), in(april, of("acme", 2*4096+11)))
		recordAll(t, b.DB, pruned(t, 1, gone...)...)
		require.True(t, drop(t, b.DB, store.ClassFree, march))
		require.Equal(t, []store.EventRow{in(april, of("acme", 2*4096+11))}, listEvents(t, b.DB, store.EventFilter{OrganizationID: "acme", Limit: 10}))
		require.Empty(t, listEvents(t, b.DB, store.EventFilter{OrganizationID: "acme", Before: 4000, Limit: 10}), "a cursor into what is gone")
		require.Empty(t, listEvents(t, b.DB, store.EventFilter{AgentID: "agent", To: april, Limit: 10}))
		require.EqualValues(t, -1, hiddenEvent(t, b.DB))
	}},
	{"a view is read only", func(t *testing.T, b Backend) {
		absent(t, b.DB, store.ErrReadOnly, func(ctx context.Context, tx *store.Tx) (struct{}, error) {
			return struct{}{}, tx.Retention.Record(ctx, pruned(t, 1, 0))
		})
	}},
}

func custom(id string) idp.Organization {
	o := organization(id)
	o.Plan = idp.PlanCustom
	return o
}

// of is the sample of an organization.
func of(organizationID string, sequence int64) store.EventRow {
	e := event(sequence)
	e.OrganizationID, e.Timestamp = organizationID, noon
	return e
}

func in(month time.Time, e store.EventRow) store.EventRow {
	e.Timestamp = month
	return e
}

// pruningEvent is the event of a pruning.
func pruningEvent(sequence int64) store.EventRow {
	e := of("operator", sequence)
	e.Action, e.AgentID = idp.ActionAuditPruned, ""
	return e
}

// pruned are the segments of a pruning that takes the sequences.
func pruned(t *testing.T, name byte, taken ...int64) []store.PrunedSegment {
	t.Helper()
	bitmaps := map[int64]*store.Bitmap{}
	for _, sequence := range taken {
		segment, at := sequence>>store.SegmentBits, sequence&(1<<store.SegmentBits-1)
		if bitmaps[segment] == nil {
			bitmaps[segment] = &store.Bitmap{}
		}
		bitmaps[segment][at>>3] |= 1 << (at & 7)
	}
	var all []store.PrunedSegment
	for segment, bitmap := range bitmaps {
		all = append(all, store.PrunedSegment{Segment: segment, Pruning: [32]byte(bytes.Repeat([]byte{name}, 32)), Bitmap: *bitmap})
	}
	slices.SortFunc(all, func(x, y store.PrunedSegment) int { return int(x.Segment - y.Segment) })
	return all
}

func recordAll(t *testing.T, db store.DB, all ...store.PrunedSegment) {
	t.Helper()
	update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.Retention.Record(ctx, all) })
}

func drop(t *testing.T, db store.DB, class store.Class, month time.Time) bool {
	t.Helper()
	done, err := db.Drop(t.Context(), class, month)
	require.NoError(t, err)
	return done
}

func segments(t *testing.T, db store.DB, from, to int64) []store.PrunedSegment {
	t.Helper()
	return read(t, db, func(ctx context.Context, tx *store.Tx) ([]store.PrunedSegment, error) {
		return tx.Retention.Segments(ctx, from, to)
	})
}

func sequences(t *testing.T, db store.DB, class store.Class, month time.Time, from, to int64) []int64 {
	t.Helper()
	found := read(t, db, func(ctx context.Context, tx *store.Tx) ([]int64, error) {
		return tx.Retention.Sequences(ctx, class, month, from, to)
	})
	slices.Sort(found)
	return found
}

func classes(t *testing.T, db store.DB, from, to int64) []store.Class {
	t.Helper()
	found := read(t, db, func(ctx context.Context, tx *store.Tx) (map[int64]store.Class, error) {
		return tx.Retention.Classes(ctx, from, to)
	})
	var inOrder []store.Class
	for _, sequence := range slices.Sorted(maps.Keys(found)) {
		inOrder = append(inOrder, found[sequence])
	}
	return inOrder
}

func hiddenEvent(t *testing.T, db store.DB) int64 {
	t.Helper()
	return read(t, db, func(ctx context.Context, tx *store.Tx) (int64, error) { return tx.Events.Hidden(ctx) })
}
