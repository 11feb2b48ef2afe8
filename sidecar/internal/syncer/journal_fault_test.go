package syncer

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/feed"
)

// After a write that failed, nothing more may be appended behind it: its cursor
// would stand past entries that are not in the file.
func TestAFailedWriteLeavesTheJournalAsItWas(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	opts, err := Options{Issuer: "https://idp.example.com", DataDir: dir, Local: true, Now: func() time.Time { return now }}.complete()
	require.NoError(t, err)
	r := newRevocations(opts)
	j, err := openJournal(dir, opts.Issuer, r)
	require.NoError(t, err)
	require.False(t, r.Known())

	entries := newRevoked()
	entries.agents["agent-1"] = 1
	r.replace(entries, "feed.1", now)
	require.True(t, r.Known())
	require.NoError(t, j.rewrite(r))

	require.NoError(t, j.file.Close()) // the disk fails
	lost := []feed.Entry{{Seq: 2, Type: feed.TypeAgent, ID: "agent-2", Epoch: 1}}
	r.apply(lost, "feed.2", now)
	require.Error(t, j.note(lost, "feed.2", now))
	require.True(t, j.due())
	next := []feed.Entry{{Seq: 3, Type: feed.TypeAgent, ID: "agent-3", Epoch: 1}}
	require.Error(t, j.note(next, "feed.3", now), "not before the file is whole again")

	again := newRevocations(Options{Now: opts.Now, RevocationMaxStale: time.Hour, Metrics: nil}.must(t))
	_, err = openJournal(dir, opts.Issuer, again)
	require.NoError(t, err)
	require.Equal(t, "feed.1", again.position(), "older, and whole")

	j.path = filepath.Join(dir, "missing", "revocations.log")
	require.Error(t, j.rewrite(r))
	require.True(t, j.due())
	j.path = filepath.Join(dir, journalName)
	require.NoError(t, j.rewrite(r))
	again = newRevocations(opts.must(t))
	_, err = openJournal(dir, opts.Issuer, again)
	require.NoError(t, err)
	require.Equal(t, 2, again.Len())
	require.True(t, again.Known())
	require.NoError(t, j.close())
}

// must completes the options for another Revocations.
func (o Options) must(t *testing.T) Options {
	t.Helper()
	o.Issuer, o.DataDir, o.Local, o.Metrics = "https://idp.example.com", t.TempDir(), true, nil
	complete, err := o.complete()
	require.NoError(t, err)
	return complete
}
