package statuslist

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/apierr"
)

// eachBackend runs a fact on every store.
func eachBackend(t *testing.T, fact func(t *testing.T, w *world)) {
	for backend, open := range stores {
		t.Run(backend, func(t *testing.T) { fact(t, newWorld(t, open(t))) })
	}
}

// Each type of entry kills what it names and lower epochs only; what a restart
// finds is the same.
func TestWhatEntriesKill(t *testing.T) {
	eachBackend(t, func(t *testing.T, w *world) {
		w.take(store.StatusListSize)
		w.take(100)
		jti := NewTokenID(w.now())
		w.issue(
			issued{organization: "acme", agent: "a1", client: "c1", kid: "k1", rev: [3]int64{1, 1, 1}, index: 10},
			issued{organization: "acme", agent: "a1", client: "c1", kid: "k1", rev: [3]int64{1, 2, 1}, index: 11},
			issued{organization: "acme", agent: "a1", client: "c2", kid: "k1", rev: [3]int64{1, 2, 0}, index: 12},
			issued{organization: "acme", agent: "a2", client: "c3", kid: "k1", rev: [3]int64{2, 0, 0}, index: 20},
			issued{organization: "beta", agent: "b1", client: "c4", kid: "k1", index: 30, jti: jti},
			issued{organization: "beta", agent: "b1", client: "c4", kid: "k2", index: store.StatusListSize + 1, jti: NewTokenID(w.now())},
			issued{organization: "beta", agent: "b1", client: "c4", kid: "k2", index: -1},
		)
		steps := []struct {
			entry idp.Revocation
			dead  []int64 // of list 0, from now on
		}{
			{idp.Revocation{Type: idp.RevokeAgent, ID: "a1", Epoch: 1}, nil},
			{idp.Revocation{Type: idp.RevokeAgent, ID: "a1", Epoch: 2}, []int64{10}},
			{idp.Revocation{Type: idp.RevokeCredential, ID: "c1", Epoch: 2}, []int64{10, 11}},
			{idp.Revocation{Type: idp.RevokeOrganization, ID: "acme", Epoch: 2}, []int64{10, 11, 12}},
			{idp.Revocation{Type: idp.RevokeJTI, ID: "not-ours"}, []int64{10, 11, 12}},
			{idp.Revocation{Type: idp.RevokeJTI, ID: NewTokenID(w.now().Add(-time.Hour))}, []int64{10, 11, 12}},
			{idp.Revocation{Type: idp.RevokeJTI, ID: jti}, []int64{10, 11, 12, 30}},
			{idp.Revocation{Type: idp.RevokeKID, ID: "k2"}, []int64{10, 11, 12, 30}},
			{idp.Revocation{Type: idp.RevokeOrganization, ID: "acme", Epoch: 3}, []int64{10, 11, 12, 20, 30}},
		}
		require.NoError(t, w.lists.sync(t.Context()))
		for _, step := range steps {
			w.pass(time.Second)
			w.revoke(step.entry)
			require.NoError(t, w.lists.sync(t.Context()))
			require.Equal(t, step.dead, w.dead(w.lists, 0), "%+v", step.entry)
		}
		require.Equal(t, []int64{1}, w.dead(w.lists, 1))
		restarted := w.replica()
		require.NoError(t, restarted.sync(t.Context()))
		require.Equal(t, steps[len(steps)-1].dead, w.dead(restarted, 0))
		require.Equal(t, []int64{1}, w.dead(restarted, 1))
	})
}

// More tokens than a page, more entries than a page, many jtis near and far.
func TestPages(t *testing.T) {
	eachBackend(t, func(t *testing.T, w *world) {
		w.take(10_000)
		const tokens = 2*pageSize + 1
		var all []issued
		for i := range int64(tokens) {
			all = append(all, issued{organization: "acme", agent: "a1", client: "c1", kid: "k1", index: 2 * i})
		}
		w.issue(all...)
		var entries []idp.Revocation
		for i := range pageSize + 10 {
			entries = append(entries, idp.Revocation{Type: idp.RevokeAgent, ID: fmt.Sprint("other", i), Epoch: 1})
		}
		w.revoke(append(entries, idp.Revocation{Type: idp.RevokeAgent, ID: "a1", Epoch: 1})...)
		require.NoError(t, w.lists.sync(t.Context()))
		dead := w.dead(w.lists, 0)
		require.Len(t, dead, tokens)
		require.Equal(t, int64(2*(tokens-1)), slices.Max(dead))

		entries = nil
		for i := range int64(40) {
			jti := NewTokenID(w.now())
			w.issue(issued{organization: "acme", agent: "a2", client: "c2", kid: "k1", index: 5000 + 2*i + 1, jti: jti})
			if i%2 == 0 {
				entries = append(entries, idp.Revocation{Type: idp.RevokeJTI, ID: jti})
			}
			w.pass(time.Duration(i%3) * 10 * time.Second)
		}
		slices.Reverse(entries)
		w.revoke(entries...)
		require.NoError(t, w.lists.sync(t.Context()))
		require.Len(t, w.dead(w.lists, 0), tokens+len(entries))
	})
}

// Entries and bits are forgotten with the last token that they concern.
func TestTheDeadAreForgotten(t *testing.T) {
	w := newWorld(t, stores["sqlite"](t))
	w.take(100)
	w.issue(issued{organization: "acme", agent: "a1", client: "c1", index: 1})
	w.revoke(idp.Revocation{Type: idp.RevokeAgent, ID: "a1", Epoch: 1}, idp.Revocation{Type: idp.RevokeKID, ID: "old"})
	require.NoError(t, w.lists.sync(t.Context()))
	require.Len(t, w.lists.dead.lists, 1)
	w.pass(time.Hour + skew)
	w.take(100)
	require.NoError(t, w.lists.sync(t.Context()))
	require.Equal(t, []int64{1}, w.dead(w.lists, 0), "its clock may be behind")
	w.pass(2 * time.Second)
	require.NoError(t, w.lists.sync(t.Context()))
	require.Empty(t, w.dead(w.lists, 0))
	require.Empty(t, w.lists.dead.lists)

	reads := w.db.work.Load()
	restarted := w.replica()
	require.NoError(t, restarted.sync(t.Context()))
	require.Equal(t, reads+1, w.db.work.Load(), "nothing is searched for entries that concern no live token")

	w.pass(3 * time.Hour)
	require.NoError(t, restarted.sync(t.Context()))
	_, err := restarted.List(t.Context(), 0)
	require.True(t, apierr.Is(err, apierr.NotFound))
	all, err := restarted.All()
	require.NoError(t, err)
	require.Empty(t, all)
	require.NoError(t, restarted.Prune(t.Context()))
	require.Empty(t, restarted.published)
}

// A document says what the draft demands, and is made again for a reason only.
func TestDocuments(t *testing.T) {
	w := newWorld(t, stores["sqlite"](t))
	l := w.lists
	_, err := l.List(t.Context(), 0)
	require.Equal(t, "revocations_stale", apierr.From(err).Reason, "before the feed was read")
	_, err = l.All()
	require.Equal(t, "revocations_stale", apierr.From(err).Reason)
	require.Error(t, l.Ready(t.Context()))
	w.take(100)
	require.NoError(t, l.sync(t.Context()))
	require.NoError(t, l.Ready(t.Context()))

	list := func() Document {
		t.Helper()
		d, err := l.List(t.Context(), 0)
		require.NoError(t, err)
		return d
	}
	first := list()
	said := w.claims(first)
	require.Equal(t, "https://idp.test/statuslists/0", said.Subject)
	require.Equal(t, []int64{noon.Unix(), noon.Unix() + 900, 15, 1}, []int64{said.IssuedAt, said.ExpiresAt, said.TTL, int64(said.List.Bits)})
	require.Equal(t, TTL, first.MaxAge)
	require.Equal(t, "statuslist+jwt.", string(first.Body[:15]))
	all, err := l.All()
	require.NoError(t, err)
	require.Equal(t, []string{"https://idp.test/statuslists/0"}, all)

	for range 10 {
		w.pass(10 * time.Second)
		require.NoError(t, l.sync(t.Context()))
		require.Equal(t, first, list())
	}
	require.Equal(t, 1, w.signer.signed())
	w.pass(renewAt)
	require.NoError(t, l.sync(t.Context()))
	renewed := list()
	require.NotEqual(t, first.ETag, renewed.ETag, "long before it expires")
	require.Equal(t, w.now().Unix(), w.claims(renewed).IssuedAt)
	w.pass(renewAt)
	require.Equal(t, renewed, list(), "nothing newer is known")
	require.Equal(t, 2, w.signer.signed())

	w.signer.change("k2", nil)
	require.Contains(t, string(list().Body), ".k2", "another key")
	w.issue(issued{organization: "acme", agent: "a1", client: "c1", index: 5})
	w.revoke(idp.Revocation{Type: idp.RevokeAgent, ID: "a1", Epoch: 1})
	require.NoError(t, l.sync(t.Context()))
	require.Equal(t, []int64{5}, w.dead(l, 0))
	require.Equal(t, 4, w.signer.signed())

	broken := errors.New("no key")
	w.signer.change("k3", broken)
	_, err = l.List(t.Context(), 0)
	require.ErrorIs(t, err, broken)
}

// Requests, however many, do not make a list be signed more often than it is due.
func TestSigningIsPaced(t *testing.T) {
	w := newWorld(t, stores["sqlite"](t))
	w.lists.Every = time.Hour
	w.take(100)
	require.NoError(t, w.lists.sync(t.Context()))
	var callers sync.WaitGroup
	for i := range int64(100) {
		if i%10 == 0 {
			w.issue(issued{organization: "acme", agent: "a1", client: "c1", index: i})
			w.revoke(idp.Revocation{Type: idp.RevokeAgent, ID: "a1", Epoch: i + 1})
			require.NoError(t, w.lists.sync(t.Context()))
		}
		callers.Go(func() {
			if _, err := w.lists.List(t.Context(), 0); err != nil {
				t.Error(err)
			}
		})
		if i == 0 {
			callers.Wait()
		}
	}
	callers.Wait()
	require.Equal(t, 1, w.signer.signed())
	w.lists.Every = time.Nanosecond
	require.Len(t, w.dead(w.lists, 0), 10)
}

// Of a list that no replica began there is nothing to sign, and asking costs little.
func TestUnknownLists(t *testing.T) {
	w := newWorld(t, stores["sqlite"](t))
	require.NoError(t, w.lists.sync(t.Context()))
	before := w.db.work.Load()
	for id := range int64(1000) {
		_, err := w.lists.List(t.Context(), id)
		require.True(t, apierr.Is(err, apierr.NotFound))
	}
	require.Less(t, w.db.work.Load()-before, int64(100))
	require.Zero(t, w.signer.signed())
	require.Empty(t, w.lists.published)

	w.take(100) // another replica's, since the last sync
	require.Eventually(t, func() bool {
		_, err := w.lists.List(t.Context(), 0)
		return err == nil
	}, time.Minute, 10*time.Millisecond)
	w.db.off.Store(true)
	require.Eventually(t, func() bool {
		_, err := w.lists.List(t.Context(), 1)
		return apierr.Is(err, apierr.Unavailable) && errors.Is(err, store.ErrUnavailable)
	}, time.Minute, 10*time.Millisecond)
}

// While the store is away the last document is served until it expires, and
// none after. Follow tries on, and says so.
func TestTheStoreAway(t *testing.T) {
	w := newWorld(t, stores["sqlite"](t))
	w.take(100)
	w.issue(issued{organization: "acme", agent: "a1", client: "c1", index: 5})
	w.follow(w.lists)
	require.Eventually(t, func() bool { return w.lists.Ready(t.Context()) == nil }, time.Minute, time.Millisecond)
	d, err := w.lists.List(t.Context(), 0)
	require.NoError(t, err)

	w.db.off.Store(true)
	tried := w.db.work.Load()
	require.Eventually(t, func() bool { return w.db.work.Load() > tried+1 }, time.Minute, time.Millisecond)
	w.revoke(idp.Revocation{Type: idp.RevokeAgent, ID: "a1", Epoch: 1})
	w.pass(lagLimit + time.Second)
	require.ErrorIs(t, w.lists.Ready(t.Context()), errBehind)
	require.Greater(t, w.lists.lag(), lagLimit)
	w.pass(lifetime - lagLimit - 4*time.Second)
	again, err := w.lists.List(t.Context(), 0)
	require.NoError(t, err)
	require.Equal(t, d.Body, again.Body)
	require.Less(t, again.MaxAge, TTL)
	w.pass(3 * time.Second)
	_, err = w.lists.List(t.Context(), 0)
	require.Equal(t, "revocations_stale", apierr.From(err).Reason)
	require.Equal(t, 1, w.signer.signed())

	w.db.off.Store(false)
	require.Eventually(t, func() bool { return w.lists.Ready(t.Context()) == nil }, time.Minute, time.Millisecond)
	require.Equal(t, []int64{5}, w.dead(w.lists, 0))
}

// An entry that cannot be resolved keeps the lists from claiming to be in step.
func TestAnEntryThatIsNotUnderstood(t *testing.T) {
	w := newWorld(t, stores["sqlite"](t))
	w.take(100)
	require.ErrorContains(t, w.lists.mark(t.Context(), w.now(), []idp.Revocation{{Seq: 7, Type: "moon", ID: "x", At: w.now()}}), "unknown type")
}

// A store that was restored from a backup is read again from the beginning.
func TestAFeedThatIsBehindTheCursor(t *testing.T) {
	w := newWorld(t, stores["sqlite"](t))
	w.take(100)
	w.issue(issued{organization: "acme", agent: "a1", client: "c1", index: 5})
	w.revoke(idp.Revocation{Type: idp.RevokeAgent, ID: "a1", Epoch: 1})
	w.lists.cursor = 99
	require.NoError(t, w.lists.sync(t.Context()))
	require.Equal(t, []int64{5}, w.dead(w.lists, 0))
}

// Entries about few tokens are not held up by one about many, and a sync that was
// cut off goes on where it was.
func TestProgressIsKept(t *testing.T) {
	w := newWorld(t, stores["sqlite"](t))
	w.take(100)
	w.issue(issued{organization: "acme", agent: "a1", client: "c1", index: 5})
	entries := []idp.Revocation{
		{Seq: 1, Type: idp.RevokeKID, ID: "k9", At: w.now()},
		{Seq: 2, Type: "moon", ID: "x", At: w.now()},
		{Seq: 3, Type: idp.RevokeAgent, ID: "a1", Epoch: 1, At: w.now()},
	}
	require.ErrorContains(t, w.lists.mark(t.Context(), w.now(), entries[1:]), "unknown type")
	slices.Reverse(entries)
	require.ErrorContains(t, w.lists.mark(t.Context(), w.now(), entries), "unknown type")
	require.Equal(t, map[int64]struct{}{3: {}}, w.lists.marked)
	before := w.db.work.Load()
	require.ErrorContains(t, w.lists.mark(t.Context(), w.now(), entries), "unknown type")
	require.Equal(t, before, w.db.work.Load(), "what is done is not read again")
	require.NoError(t, w.lists.mark(t.Context(), w.now(), append(entries[:1:1], entries[2])))
	require.Equal(t, map[int64]struct{}{1: {}, 3: {}}, w.lists.marked)
}
