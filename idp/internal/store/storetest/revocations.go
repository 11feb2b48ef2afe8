package storetest

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

// patience is how long a state is waited for.
const patience = time.Minute

var revocationFacts = []fact{
	{"since returns what was appended, lowest first", func(t *testing.T, b Backend) {
		want := []idp.Revocation{
			{Seq: 1, Type: idp.RevokeOrganization, ID: "acme", Epoch: 2, Reason: "breach", At: noon},
			{Seq: 2, Type: idp.RevokeAgent, ID: "agent", Epoch: 3, Reason: "suspended", At: noon},
			{Seq: 3, Type: idp.RevokeCredential, ID: "aidp_c_x", Epoch: 4, At: noon},
			{Seq: 4, Type: idp.RevokeJTI, ID: "token", Expires: noon.Truncate(time.Second).Add(time.Hour), Reason: "revoked", At: noon},
			{Seq: 5, Type: idp.RevokeKID, ID: "key", Reason: "leaked", At: noon},
		}
		for _, r := range want {
			given := r
			given.Seq, given.At = 77, zoned // not for the caller to say
			require.Equal(t, r.Seq, revoke(t, b.DB, given))
		}
		require.Equal(t, want, since(t, b.DB, 0, 100))
		require.Equal(t, want[2:4], since(t, b.DB, 2, 2))
		require.Empty(t, since(t, b.DB, 5, 100))
		require.Equal(t, [2]int64{5, 0}, bounds(t, b.DB))
	}},
	{"all organizations are appended by id, behind what is there", func(t *testing.T, b Backend) {
		small, big := organization("b"), organization("C")
		small.Epoch, big.Epoch = 7, 1<<40
		insertOrganizations(t, b.DB, small, big)
		revoke(t, b.DB, idp.Revocation{Type: idp.RevokeKID, ID: "key", At: noon})
		signal, stop := b.DB.Watch()
		defer stop()
		update(t, b.DB, func(ctx context.Context, tx *store.Tx) error {
			appended, err := tx.Revocations.AppendOrganizations(ctx, "restored", zoned)
			require.Equal(t, int64(2), appended)
			return err
		})
		select {
		case <-signal:
		case <-time.After(patience):
			require.Fail(t, "nobody was told")
		}
		require.Equal(t, []idp.Revocation{
			{Seq: 2, Type: idp.RevokeOrganization, ID: "C", Epoch: 1 << 40, Reason: "restored", At: noon},
			{Seq: 3, Type: idp.RevokeOrganization, ID: "b", Epoch: 7, Reason: "restored", At: noon},
		}, since(t, b.DB, 1, 100))
		require.Equal(t, [2]int64{3, 0}, bounds(t, b.DB))
		require.ErrorIs(t, b.DB.View(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Revocations.AppendOrganizations(ctx, "", noon)
			return err
		}), store.ErrReadOnly)
	}},
	{"starts with nothing given and nothing pruned", func(t *testing.T, b Backend) {
		require.Equal(t, [2]int64{0, 0}, bounds(t, b.DB))
		require.Empty(t, since(t, b.DB, 0, 10))
	}},
	{"a token is revoked by its jti or its kid, byte for byte", func(t *testing.T, b Backend) {
		revoke(t, b.DB, idp.Revocation{Type: idp.RevokeJTI, ID: "token", Expires: noon, At: noon})
		revoke(t, b.DB, idp.Revocation{Type: idp.RevokeKID, ID: "key", At: noon})
		revoke(t, b.DB, idp.Revocation{Type: idp.RevokeAgent, ID: "agent", Epoch: 1, At: noon})
		for pair, want := range map[[2]string]bool{
			{"token", "other"}: true, {"other", "key"}: true, {"token", "key"}: true, {"other", "other"}: false,
			{"key", "token"}: false, {"TOKEN", "KEY"}: false, {"agent", "agent"}: false, {"", ""}: false,
		} {
			require.Equal(t, want, read(t, b.DB, func(ctx context.Context, tx *store.Tx) (bool, error) {
				return tx.Revocations.RevokedToken(ctx, pair[0], pair[1])
			}), pair)
		}
		count := func(jtis ...string) int {
			return read(t, b.DB, func(ctx context.Context, tx *store.Tx) (int, error) { return tx.Revocations.CountRevoked(ctx, jtis) })
		}
		require.Equal(t, 1, count("token", "TOKEN", "key", "agent", ""))
		require.Zero(t, count("none"))
		require.Zero(t, count())
	}},
	{"prune drops dead tokens and old epochs, keeps keys, and remembers how far", func(t *testing.T, b Backend) {
		old, late := noon.Add(-time.Hour), noon.Add(time.Hour)
		for _, r := range []idp.Revocation{
			{Type: idp.RevokeJTI, ID: "dead", Expires: noon.Add(-time.Millisecond), At: old},    // 1
			{Type: idp.RevokeAgent, ID: "old", Epoch: 1, At: noon.Add(-time.Millisecond)},       // 2
			{Type: idp.RevokeKID, ID: "key", At: old},                                           // 3
			{Type: idp.RevokeJTI, ID: "live", Expires: noon, At: old},                           // 4
			{Type: idp.RevokeOrganization, ID: "old", Epoch: 1, At: old},                        // 5
			{Type: idp.RevokeCredential, ID: "young", Epoch: 1, At: noon},                       // 6
			{Type: idp.RevokeJTI, ID: "dead too", Expires: noon.Add(-time.Minute), At: late},    // 7
			{Type: idp.RevokeJTI, ID: "live too", Expires: late, At: late},                      // 8
			{Type: idp.RevokeCredential, ID: "last, old", Epoch: 2, At: noon.Add(-time.Minute)}, // 9
		} {
			revoke(t, b.DB, r)
		}
		prune := func(now, epochsBefore time.Time) {
			pruneAll(t, b.DB, func(ctx context.Context, tx *store.Tx) (bool, error) {
				return tx.Revocations.Prune(ctx, now, epochsBefore)
			})
		}
		prune(old, old)
		require.Len(t, since(t, b.DB, 0, 100), 9)
		require.Equal(t, [2]int64{9, 0}, bounds(t, b.DB))
		prune(noon, noon)
		require.Equal(t, []string{"key", "live", "young", "live too"},
			ids(since(t, b.DB, 0, 100), func(r idp.Revocation) string { return r.ID }))
		require.Equal(t, [2]int64{9, 9}, bounds(t, b.DB))
		require.Equal(t, int64(10), revoke(t, b.DB, idp.Revocation{Type: idp.RevokeJTI, ID: "next", Expires: noon, At: noon}))
		prune(late.Add(time.Hour), late)
		require.Equal(t, []string{"key"}, ids(since(t, b.DB, 0, 100), func(r idp.Revocation) string { return r.ID }))
		require.Equal(t, [2]int64{10, 10}, bounds(t, b.DB))
		prune(late.Add(time.Hour), late)
		require.Equal(t, [2]int64{10, 10}, bounds(t, b.DB))
		reopened := b.Reopen(t)
		require.Equal(t, int64(11), revoke(t, reopened, idp.Revocation{Type: idp.RevokeKID, ID: "after", At: noon}))
	}},
	{"prune removes a bounded batch, and with it says how far it went", func(t *testing.T, b Backend) {
		update(t, b.DB, func(ctx context.Context, tx *store.Tx) error {
			for n := range store.PruneBatch + 5 { // the last to be pruned are the lowest
				entry := idp.Revocation{Type: idp.RevokeJTI, ID: strconv.Itoa(n), Expires: noon.Add(-time.Duration(n) * time.Second), At: noon}
				if n < 3 {
					entry = idp.Revocation{Type: idp.RevokeAgent, ID: "agent", Epoch: int64(n + 1), At: noon}
				}
				if _, err := tx.Revocations.Append(ctx, entry); err != nil {
					return err
				}
			}
			return nil
		})
		late := noon.Add(time.Hour)
		batch := func(ctx context.Context, tx *store.Tx) (bool, error) { return tx.Revocations.Prune(ctx, late, late) }
		require.True(t, pruneOnce(t, b.DB, batch))
		require.Len(t, since(t, b.DB, 0, 100), 5)
		require.Equal(t, [2]int64{store.PruneBatch + 5, store.PruneBatch + 5}, bounds(t, b.DB))
		require.False(t, pruneOnce(t, b.DB, batch))
		require.Empty(t, since(t, b.DB, 0, 100))
		require.Equal(t, [2]int64{store.PruneBatch + 5, store.PruneBatch + 5}, bounds(t, b.DB))
	}},
	{"sequences follow commits when many revoke at once", func(t *testing.T, b Backend) {
		var callers sync.WaitGroup
		for caller := range 8 {
			callers.Go(func() {
				for n := range 10 {
					err := b.DB.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
						_, err := tx.Revocations.Append(ctx, idp.Revocation{Type: idp.RevokeJTI, ID: fmt.Sprintf("%d-%d", caller, n), Expires: noon, At: noon})
						if n%5 == 4 {
							return errFact
						}
						return err
					})
					if n%5 != 4 && err != nil {
						t.Error(err)
					}
				}
			})
		}
		// Whoever reads on from what it saw misses none that commits later.
		done := make(chan struct{})
		go func() { callers.Wait(); close(done) }()
		seen, after := 0, int64(0)
		for finished := false; !finished; {
			select {
			case <-done:
				finished = true
			default:
			}
			for _, r := range since(t, b.DB, after, 100) {
				require.Greater(t, r.Seq, after)
				seen, after = seen+1, r.Seq
			}
		}
		require.Equal(t, 64, seen)
	}},
	{"watchers are told after the commit", func(t *testing.T, b Backend) {
		one, stopOne := b.DB.Watch()
		two, stopTwo := b.DB.Watch()
		defer stopTwo()
		for range 3 { // signals coalesce: nobody reads meanwhile
			revoke(t, b.DB, idp.Revocation{Type: idp.RevokeKID, ID: "key", At: noon})
		}
		await(t, one)
		await(t, two)
		require.Len(t, since(t, b.DB, 0, 10), 3)
		stopOne()
		stopOne()
		drain(two)
		seq := revoke(t, b.DB, idp.Revocation{Type: idp.RevokeKID, ID: "key", At: noon})
		await(t, two)
		require.Equal(t, [2]int64{seq, 0}, bounds(t, b.DB))
	}},
}

func await(t *testing.T, changed <-chan struct{}) {
	t.Helper()
	select {
	case <-changed:
	case <-time.After(patience):
		require.Fail(t, "no signal")
	}
}

func drain(changed <-chan struct{}) {
	for {
		select {
		case <-changed:
		default:
			return
		}
	}
}

func revoke(t *testing.T, db store.DB, r idp.Revocation) int64 {
	t.Helper()
	var seq int64
	update(t, db, func(ctx context.Context, tx *store.Tx) (err error) {
		seq, err = tx.Revocations.Append(ctx, r)
		return err
	})
	return seq
}

func since(t *testing.T, db store.DB, after int64, limit int) []idp.Revocation {
	t.Helper()
	return read(t, db, func(ctx context.Context, tx *store.Tx) ([]idp.Revocation, error) {
		return tx.Revocations.Since(ctx, after, limit)
	})
}

func bounds(t *testing.T, db store.DB) [2]int64 {
	t.Helper()
	return read(t, db, func(ctx context.Context, tx *store.Tx) ([2]int64, error) {
		last, pruned, err := tx.Revocations.Bounds(ctx)
		return [2]int64{last, pruned}, err
	})
}
