package revocation_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/issuer"
	"github.com/sentryagent/agentidp/idp/internal/revocation"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/shared/feed"
	"github.com/sentryagent/agentidp/shared/token"
)

// snapshot polls without a usable cursor and verifies what comes.
func (w *world) snapshot(after string) feed.Snapshot {
	w.t.Helper()
	result, err := w.Poll(w.ctx, after, time.Minute)
	require.NoError(w.t, err)
	require.Nil(w.t, result.Page)
	payload, kid, err := token.VerifyJWS(result.Snapshot, feed.SnapshotType, w.issuer.Keys(), 1<<20)
	require.NoError(w.t, err)
	require.Equal(w.t, w.kid(), kid)
	var s feed.Snapshot
	require.NoError(w.t, json.Unmarshal(payload, &s))
	require.Equal(w.t, issuerURL, s.Issuer)
	return s
}

func (w *world) page(after string, wait time.Duration) *feed.Page {
	w.t.Helper()
	result, err := w.Poll(w.ctx, after, wait)
	require.NoError(w.t, err)
	require.Empty(w.t, result.Snapshot)
	return result.Page
}

// list puts n jti entries into the feed at once.
func (w *world) list(prefix string, n int, expires time.Time) {
	w.t.Helper()
	require.NoError(w.t, w.db.Update(w.ctx, func(ctx context.Context, tx *store.Tx) error {
		for i := range n {
			r := idp.Revocation{Type: idp.RevokeJTI, ID: fmt.Sprintf("%s%d", prefix, i), Expires: expires, Reason: "test", At: w.now()}
			if _, err := tx.Revocations.Append(ctx, r); err != nil {
				return err
			}
		}
		return nil
	}))
}

func TestFeed(t *testing.T) {
	w := newWorld(t)
	a := w.client(w.root, "a", "notes:read")
	s := w.snapshot("")
	require.Equal(t, []feed.Entry{}, s.Entries)
	require.Equal(t, s.Epoch+".0", s.Cursor)
	require.Equal(t, w.now().Unix(), s.IssuedAt)

	p := w.page(s.Cursor, 0)
	require.Equal(t, &feed.Page{Epoch: s.Epoch, Cursor: s.Cursor, Entries: []feed.Entry{}}, p)

	_, _, err := w.Create(w.ctx, w.root, revocation.NewRevocation{Type: "agent", ID: a.agent.ID, Reason: "why"})
	require.NoError(t, err)
	_, _, err = w.Create(w.ctx, w.root, revocation.NewRevocation{Type: "jti", ID: "j1", Reason: "why"})
	require.NoError(t, err)
	want := []feed.Entry{
		{Seq: 1, Type: "agent", ID: a.agent.ID, Epoch: 1, Reason: "revoked", At: w.now().Format(idp.TimeLayout)},
		{Seq: 2, Type: "jti", ID: "j1", Exp: w.now().Unix() + 3601, Reason: "revoked", At: w.now().Format(idp.TimeLayout)},
	}
	p = w.page(s.Cursor, time.Minute)
	require.Equal(t, want, p.Entries)
	require.Equal(t, s.Epoch+".2", p.Cursor)
	require.Equal(t, want[1:], w.page(s.Epoch+".1", 0).Entries)

	require.Equal(t, want, w.snapshot("").Entries)
	require.Equal(t, want, w.snapshot("ANOTHER.2").Entries, "a cursor of another feed")
	require.Equal(t, want, w.snapshot(s.Epoch+".3").Entries, "a cursor that this feed has not reached: restored from a backup")
	for _, bad := range []string{"x", ".1", s.Epoch + ".", s.Epoch + ".-1", s.Epoch + ".01"} {
		_, err := w.Poll(w.ctx, bad, 0)
		require.True(t, apierr.Is(err, apierr.ValidationFailed), bad)
	}

	// Another replica on the same store speaks of the same feed.
	replica := w.open()
	result, err := replica.Poll(w.ctx, p.Cursor, 0)
	require.NoError(t, err)
	require.Equal(t, p.Epoch, result.Page.Epoch)
}

func TestFeedIsBounded(t *testing.T) {
	w := newWorld(t)
	start := w.snapshot("").Cursor
	w.list("j", 2500, w.now().Add(time.Hour))
	seen, cursor := 0, start
	for _, want := range []int{1000, 1000, 500, 0} {
		p := w.page(cursor, 0)
		require.Len(t, p.Entries, want)
		for _, e := range p.Entries {
			require.Equal(t, fmt.Sprintf("j%d", seen), e.ID)
			seen++
		}
		cursor = p.Cursor
	}
	require.Len(t, w.snapshot("").Entries, 2500)
}

func TestLongPoll(t *testing.T) {
	w := newWorld(t)
	cursor := w.snapshot("").Cursor
	type answer struct {
		revocation.Result
		err error
	}
	poll := func(ctx context.Context) <-chan answer {
		done := make(chan answer, 1)
		go func() {
			result, err := w.Poll(ctx, cursor, 30*time.Second)
			done <- answer{result, err}
		}()
		return done
	}
	within := func(done <-chan answer) answer {
		t.Helper()
		select {
		case a := <-done:
			require.NoError(t, a.err)
			return a
		case <-time.After(time.Minute):
			require.Fail(t, "the poll did not return")
			return answer{}
		}
	}
	ctx, leave := context.WithCancel(w.ctx)
	leaving := poll(ctx)
	var waiting []<-chan answer
	for range 50 {
		waiting = append(waiting, poll(w.ctx))
	}
	leave()
	require.Equal(t, cursor, within(leaving).Page.Cursor)
	_, _, err := w.Create(w.ctx, w.root, revocation.NewRevocation{Type: "jti", ID: "j1"})
	require.NoError(t, err)
	for _, done := range waiting {
		page := within(done).Page
		require.Len(t, page.Entries, 1)
		require.Equal(t, "j1", page.Entries[0].ID)
	}

	// Whose time is up in the middle of it does not know whether there was news.
	for _, wait := range []time.Duration{0, time.Minute} {
		late, stop := context.WithDeadline(w.ctx, time.Now().Add(-time.Second))
		result, err := w.Poll(late, cursor, wait)
		stop()
		require.True(t, apierr.Is(err, apierr.StoreUnavailable), "%v", err)
		require.Empty(t, result)
	}

	// A wait that nothing ends ends by itself, empty.
	cursor = w.page(cursor, 0).Cursor
	began := time.Now()
	require.Empty(t, w.page(cursor, 50*time.Millisecond).Entries)
	require.GreaterOrEqual(t, time.Since(began), 50*time.Millisecond)
}

func TestPrune(t *testing.T) {
	w := newWorld(t)
	a := w.client(w.root, "a", "notes:read")
	start := w.snapshot("").Cursor
	create := func(kind, id string) {
		t.Helper()
		_, _, err := w.Create(w.ctx, w.root, revocation.NewRevocation{Type: kind, ID: id})
		require.NoError(t, err)
		w.refresh(&w.root)
	}
	types := func(entries []feed.Entry) string {
		var all []string
		for _, e := range entries {
			all = append(all, e.Type)
		}
		return strings.Join(all, " ")
	}
	create("kid", w.kid())
	create("agent", a.agent.ID)
	w.list("j", 1, w.now().Add(time.Minute))
	prunes := func(after time.Duration, pruned bool) {
		t.Helper()
		w.pass(after)
		before := len(w.entries())
		require.NoError(t, w.Prune(w.ctx))
		require.Equal(t, pruned, len(w.entries()) < before)
	}
	prunes(time.Minute, false)
	require.Equal(t, "kid agent jti", types(w.page(start, 0).Entries))
	prunes(time.Minute, false) // a verifier with leeway took the token until now
	require.Equal(t, "kid agent", types(w.snapshot("").Entries), "what no verifier accepts is not in a snapshot")
	prunes(59*time.Minute, false)
	prunes(time.Millisecond, true) // the agent entry: no token minted before it is left
	require.Equal(t, "kid", types(w.snapshot(start).Entries), "past pruning")
	prunes(time.Minute-time.Millisecond, false) // the jti stays as long past its exp: our clock may be ahead
	prunes(time.Millisecond, true)
	last := w.snapshot("").Cursor
	require.Empty(t, w.page(last, 0).Entries, "who has seen everything reads on")

	second, _, err := w.Create(w.ctx, w.root, revocation.NewRevocation{Type: "organization", ID: "default"})
	require.NoError(t, err)
	require.Equal(t, "kid organization", types(w.snapshot("").Entries))
	prunes(61*time.Minute, false)
	prunes(time.Millisecond, true)
	require.Equal(t, "kid", types(w.snapshot("").Entries))
	require.True(t, strings.HasSuffix(w.snapshot("").Cursor, fmt.Sprintf(".%d", second.Seq)), "the cursor does not go back")
}

// countingSigner counts signatures and can refuse.
type countingSigner struct {
	revocation.Signer
	mu    sync.Mutex
	calls int
	err   error

	reload error // what Reload answers instead of reloading
	spares int
}

func (s *countingSigner) Spare() (*issuer.Spare, error) {
	s.mu.Lock()
	s.spares++
	s.mu.Unlock()
	return s.Signer.Spare()
}

func (s *countingSigner) Reload(ctx context.Context) error {
	if s.reload != nil {
		return s.reload
	}
	return s.Signer.Reload(ctx)
}

func (s *countingSigner) Sign(ctx context.Context, typ string, payload []byte) (string, error) {
	s.mu.Lock()
	s.calls++
	err := s.err
	s.mu.Unlock()
	if err != nil {
		return "", err
	}
	return s.Signer.Sign(ctx, typ, payload)
}

func TestOneSignatureForAFleet(t *testing.T) {
	w := newWorld(t)
	connect := func(n int) {
		t.Helper()
		var fleet sync.WaitGroup
		failures := make([]error, n)
		for i := range n {
			fleet.Go(func() { _, failures[i] = w.Poll(w.ctx, "", 0) })
		}
		fleet.Wait()
		require.NoError(t, errors.Join(failures...))
	}
	connect(200)
	require.Equal(t, 1, w.signer.calls)
	w.pass(29 * time.Second)
	connect(1)
	require.Equal(t, 1, w.signer.calls)
	w.pass(time.Second)
	connect(1)
	require.Equal(t, 2, w.signer.calls, "a snapshot does not get old")
	w.list("j", 1, w.now().Add(time.Hour))
	connect(10)
	require.Equal(t, 3, w.signer.calls, "nor wrong")

	w.list("k", 1, w.now().Add(time.Hour))
	w.signer.err = errors.New("key store away")
	_, err := w.Poll(w.ctx, "", 0)
	require.ErrorIs(t, err, w.signer.err)
	w.signer.err = nil
	require.Len(t, w.snapshot("").Entries, 2)
}
