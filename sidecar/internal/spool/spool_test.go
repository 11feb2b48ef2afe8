package spool

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sentryagent/agentidp/shared/decision"
)

func TestMain(m *testing.M) {
	if os.Getenv("SPOOL_CHILD") != "" {
		appendUntilKilled()
	}
	goleak.VerifyTestMain(m)
}

// allowed is a record as the proxy writes it.
func allowed(i int) *decision.Record {
	return &decision.Record{
		DecisionID: fmt.Sprintf("d-%d", i), Time: "2026-03-01T10:00:00.123Z", AgentID: "018f2f6e-7c1e-7c0a-b1de-9f1f0c0ffee0",
		OrganizationID: "018f2f6e-7c1e-7c0a-b1de-9f1f0c0ffee1", ClientID: "aidp_c_0123456789abcdefghijkl", JTI: "018f2f6e-7c1e-7c0a-b1de-9f1f0c0ffee2",
		Method: "GET", Host: "notes.example.com", Path: "/notes/17", RouteID: "GET /notes/{id}", Capability: "notes:read",
		Outcome: decision.Allowed, Reason: "capability", Status: 200, PolicyRevision: "4f1c2d", RequestID: "0b1c2d3e4f",
		Peer: "10.1.2.3", BytesIn: 120, BytesOut: 4096, DurationMs: 1.25,
	}
}

func denied(i int) *decision.Record {
	r := allowed(i)
	r.Outcome, r.Reason, r.Status = decision.Denied, "capability_missing", 403
	return r
}

// small is the size limit of most tests: segments of 128 KiB, some 230 records.
const small = 1 << 20

func open(t *testing.T, dir string, change ...func(*Options)) *Spool {
	t.Helper()
	opts := Options{MaxBytes: small, BootID: "boot-1", Logger: slog.New(slog.DiscardHandler)}
	for _, f := range change {
		f(&opts)
	}
	s, err := Open(dir, opts)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func appendN(t *testing.T, s *Spool, n int) {
	t.Helper()
	for i := range n {
		_, err := s.Append(allowed(i))
		require.NoError(t, err)
	}
}

// drain ships everything, checks that the lines are one unbroken chain as the
// IdP checks it, and answers the records.
func drain(t *testing.T, s *Spool) []decision.Record {
	t.Helper()
	var all []decision.Record
	next, anchor := s.Status().Acked, ""
	for {
		b, err := s.Next(1000, 256<<10)
		require.NoError(t, err)
		if b.Records == 0 {
			return all
		}
		require.Equal(t, next, b.First)
		lines := bytes.Split(bytes.TrimSuffix(b.Lines, []byte("\n")), []byte("\n"))
		require.Len(t, lines, b.Records)
		for _, line := range lines {
			r, err := decision.Parse(line)
			require.NoError(t, err, string(line))
			require.LessOrEqual(t, r.First(), next, "a hole")
			require.True(t, r.Linked(anchor), "record %d breaks the chain", r.Sequence)
			next, anchor = r.Sequence+1, r.Anchor(line)
			all = append(all, r)
		}
		require.Equal(t, next, b.Next)
		require.NoError(t, s.Ack(b.Next))
	}
}

func gaps(records []decision.Record) (found []decision.Record) {
	for _, r := range records {
		if r.Outcome == decision.Gap {
			found = append(found, r)
		}
	}
	return found
}

// decisions counts the records that are decisions, and the ones that gaps declare as lost.
func decisions(records []decision.Record) (kept, lost int64) {
	for _, r := range records {
		if r.Outcome == decision.Gap {
			lost += r.Count
		} else {
			kept++
		}
	}
	return kept, lost
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, 30*time.Second, 5*time.Millisecond, what)
}

func files(t *testing.T, dir, suffix string) (found []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), suffix) {
			found = append(found, filepath.Join(dir, e.Name()))
		}
	}
	return found
}

func TestAppendShipAck(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	signalled := func() bool {
		select {
		case <-s.Ready():
			return true
		default:
			return false
		}
	}
	require.True(t, signalled(), "look once at the start")
	b, err := s.Next(10, 1<<20)
	require.NoError(t, err)
	require.Zero(t, b.Records)

	appendN(t, s, 5)
	require.True(t, signalled(), "there is something now")
	require.False(t, signalled(), "one signal for all of it")
	b, err = s.Next(3, 1<<20)
	require.NoError(t, err)
	require.Equal(t, int64(0), b.First)
	require.Equal(t, int64(3), b.Next)
	again, err := s.Next(3, 1<<20)
	require.NoError(t, err)
	require.Equal(t, b.Lines, again.Lines, "without Ack the same records")
	require.NoError(t, s.Ack(2))
	rest := drain(t, s)
	require.Len(t, rest, 3)
	require.Equal(t, int64(2), rest[0].Sequence)
	require.Equal(t, "d-2", rest[0].DecisionID)
	require.Equal(t, int64(5), s.Status().Acked)
}

func TestBatchBounds(t *testing.T) {
	s := open(t, t.TempDir())
	appendN(t, s, 100)
	b, err := s.Next(1000, 1)
	require.NoError(t, err)
	require.Equal(t, 1, b.Records, "one record however long")
	one := len(b.Lines)
	b, err = s.Next(1000, 10*one+5)
	require.NoError(t, err)
	require.LessOrEqual(t, len(b.Lines), 10*one+5)
	require.Greater(t, b.Records, 8)
}

func TestSegmentsArePackedShippedAndRemoved(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	appendN(t, s, 1500)
	eventually(t, "packed", func() bool {
		return len(files(t, dir, packedSuffix)) >= 2 && len(files(t, dir, rawSuffix)) <= keepRaw+1
	})
	records := drain(t, s)
	require.Len(t, records, 1500)
	require.Empty(t, gaps(records))
	eventually(t, "removed", func() bool { return len(files(t, dir, packedSuffix)) == 0 && len(files(t, dir, rawSuffix)) == 1 })
	require.LessOrEqual(t, s.Status().Bytes, int64(256<<10))
}

func TestReopenContinues(t *testing.T) {
	dir := t.TempDir()
	var kept int
	for round := range 4 {
		s := open(t, dir, func(o *Options) { o.MaxBytes = 2 << 20; o.BootID = fmt.Sprint(round) })
		appendN(t, s, 600) // more than a segment
		kept += 600
		if round == 2 {
			b, err := s.Next(170, 1<<20)
			require.NoError(t, err)
			require.NoError(t, s.Ack(b.Next))
			kept -= b.Records
		}
		require.NoError(t, s.Close())
	}
	s := open(t, dir, func(o *Options) { o.MaxBytes = 2 << 20 })
	require.Equal(t, int64(2400), s.Status().Next)
	records := drain(t, s)
	require.Len(t, records, kept)
	require.Empty(t, gaps(records))
}

func TestOneProcessOnly(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	_, err := Open(dir, Options{})
	require.ErrorIs(t, err, ErrLocked)
	require.NoError(t, s.Close())
	require.NoError(t, open(t, dir).Close())
	_, err = s.Append(allowed(0))
	require.ErrorIs(t, err, ErrClosed)
	_, err = s.Next(1, 1)
	require.ErrorIs(t, err, ErrClosed)
	require.ErrorIs(t, s.Ack(0), ErrClosed)
	require.NoError(t, s.Close(), "twice")
}

func TestOptionsAreChecked(t *testing.T) {
	_, err := Open(t.TempDir(), Options{MaxBytes: 1})
	require.ErrorContains(t, err, "at least")
	_, err = Open(t.TempDir(), Options{Policy: "hope"})
	require.ErrorContains(t, err, "policy must be")
	_, err = Open(filepath.Join(os.DevNull, "x"), Options{})
	require.Error(t, err)
}
