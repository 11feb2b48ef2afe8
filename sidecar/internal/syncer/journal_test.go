package syncer

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/feed"
)

// reopen reads a folder's journal into a new set.
func reopen(t *testing.T, dir string) *Revocations {
	t.Helper()
	r := newSet(time.Now)
	j, err := openJournal(dir, "iss", r)
	require.NoError(t, err)
	require.NoError(t, j.close())
	return r
}

// journalled is a folder with a journal: a snapshot of n entries, then one entry a line.
func journalled(t *testing.T, n int, after ...feed.Entry) string {
	t.Helper()
	dir, r := t.TempDir(), fill(n)
	j, err := openJournal(dir, "iss", r)
	require.NoError(t, err)
	require.True(t, j.due())
	require.NoError(t, j.rewrite(r))
	require.False(t, j.due())
	for i, e := range after {
		require.NoError(t, j.note([]feed.Entry{e}, fmt.Sprintf("e.%d", i+2), time.Now()))
	}
	require.NoError(t, j.close())
	return dir
}

func TestJournalRoundTrip(t *testing.T) {
	dir := journalled(t, 1234, feed.Entry{Type: feed.TypeKID, ID: "k"}, feed.Entry{Type: feed.TypeAgent, ID: "agent", Epoch: 7})
	r := reopen(t, dir)
	require.Equal(t, 1236, r.Len())
	require.Equal(t, "e.3", r.position())
	require.False(t, r.Stale())
	c := claims()
	reason, _ := r.Revoked(&c)
	require.Equal(t, "agent_revoked", reason)
	require.Equal(t, 1236, reopen(t, dir).Len(), "and again")
	require.Zero(t, reopen(t, t.TempDir()).Len())
}

func TestJournalOfAnotherIssuer(t *testing.T) {
	dir, r := journalled(t, 3), newSet(time.Now)
	j, err := openJournal(dir, "another", r)
	require.NoError(t, err)
	require.Zero(t, r.Len())
	require.Empty(t, r.position())
	require.NoError(t, j.close())
}

// Wherever the file ends: what was written before is there, and never anything else.
func TestJournalCutAnywhere(t *testing.T) {
	t.Parallel()
	dir := journalled(t, 2, feed.Entry{Type: feed.TypeKID, ID: "k1"}, feed.Entry{Type: feed.TypeKID, ID: "k2"})
	path := filepath.Join(dir, journalName)
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	lines := bytes.SplitAfter(whole, []byte("\n"))
	for cut := range whole {
		require.NoError(t, os.WriteFile(path, whole[:cut], 0o600))
		r := reopen(t, dir)
		full := bytes.Count(whole[:cut], []byte("\n"))
		switch {
		case full < 2:
			require.Zero(t, r.Len(), "an unfinished snapshot means nothing")
			require.True(t, r.Stale())
		default:
			require.Equal(t, full, r.Len())
			require.False(t, r.Stale(), "only an append was cut off, which was not acknowledged")
			kept, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, bytes.Join(lines[:full], nil), kept, "the torn end is gone for good")
		}
	}
}

// A byte that rots in the middle makes the set stale: it may be incomplete.
func TestJournalRot(t *testing.T) {
	t.Parallel()
	dir := journalled(t, 2, feed.Entry{Type: feed.TypeKID, ID: "k1"}, feed.Entry{Type: feed.TypeKID, ID: "k2"})
	path := filepath.Join(dir, journalName)
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	for at := range whole {
		content := bytes.Clone(whole)
		content[at] ^= 0x08
		require.NoError(t, os.WriteFile(path, content, 0o600))
		r := reopen(t, dir)
		if r.Stale() {
			continue
		}
		require.Greater(t, at, bytes.LastIndexByte(whole[:len(whole)-1], '\n'), "only in the last line can rot look like a torn end")
	}
}

func TestJournalIsWrittenAnew(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := newSet(time.Now)
	j, err := openJournal(dir, "iss", r)
	require.NoError(t, err)
	r.replace(newRevoked(), "e.1", time.Now())
	require.Error(t, j.note([]feed.Entry{{Type: "kid", ID: "k"}}, "e.2", time.Now()), "no file yet")
	require.NoError(t, j.rewrite(r))
	at := time.Now()
	require.NoError(t, j.note(nil, "e.1", at))
	size := fileSize(t, dir)
	require.NoError(t, j.note(nil, "e.1", at.Add(time.Second)))
	require.Equal(t, size, fileSize(t, dir), "contact alone is not noted at each poll")
	require.NoError(t, j.note(nil, "e.1", at.Add(time.Minute)))
	require.Greater(t, fileSize(t, dir), size)
	long := strings.Repeat("x", 10_000)
	for i := 0; !j.due(); i++ {
		entries := []feed.Entry{{Type: feed.TypeAgent, ID: "agent", Epoch: int64(i), Reason: long}}
		cursor := fmt.Sprintf("e.%d", i+2)
		r.apply(entries, cursor, at)
		require.NoError(t, j.note(entries, cursor, at))
	}
	require.NoError(t, j.rewrite(r))
	require.Less(t, fileSize(t, dir), int64(1000))
	require.NoError(t, j.close())
	require.NoError(t, j.close(), "twice")
	kept := reopen(t, dir)
	require.Equal(t, r.position(), kept.position())
	require.Equal(t, 1, kept.Len())
}

func fileSize(t *testing.T, dir string) int64 {
	t.Helper()
	info, err := os.Stat(filepath.Join(dir, journalName))
	require.NoError(t, err)
	return info.Size()
}

func TestJournalThatCannotBeUsed(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, journalName), 0o700))
	_, err := openJournal(dir, "iss", newSet(time.Now))
	require.Error(t, err)
	j := &journal{path: filepath.Join(dir, "absent", journalName), issuer: "iss"}
	require.Error(t, j.rewrite(newSet(time.Now)))
	closed, err := os.Create(filepath.Join(dir, "closed"))
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	j.file = closed
	require.Error(t, j.note([]feed.Entry{{Type: "kid", ID: "k"}}, "e.2", time.Now()))
	require.True(t, j.due(), "half a line may be there: the file is to be written anew")
}

func FuzzJournal(f *testing.F) {
	var b bytes.Buffer
	_, err := writeJournalLine(&b, journalLine{Issuer: "iss"})
	require.NoError(f, err)
	_, err = writeJournalLine(&b, journalLine{Cursor: "e.1", Seen: time.Now(), Entries: []feed.Entry{{Type: "kid", ID: "k"}}})
	require.NoError(f, err)
	f.Add(b.Bytes())
	f.Add([]byte("00000000 \n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		l, good, err := readJournal(bytes.NewReader(content), "iss")
		require.NoError(t, err)
		require.LessOrEqual(t, good, int64(len(content)))
		again, length, err := readJournal(bytes.NewReader(content[:good]), "iss")
		require.NoError(t, err)
		require.Equal(t, good, length)
		require.Equal(t, l.entries, again.entries)
		require.Equal(t, l.cursor, again.cursor)
	})
}
