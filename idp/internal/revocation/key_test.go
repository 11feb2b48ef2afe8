package revocation_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/revocation"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/shared/token"
)

func (w *world) keys() map[string]store.KeyStatus {
	w.t.Helper()
	statuses := map[string]store.KeyStatus{}
	require.NoError(w.t, w.db.View(w.ctx, func(ctx context.Context, tx *store.Tx) error {
		keys, err := tx.Keys.List(ctx, store.UseToken)
		for _, k := range keys {
			statuses[k.ID] = k.Status
		}
		return err
	}))
	return statuses
}

func (w *world) published() []string {
	w.t.Helper()
	body, _ := w.issuer.JWKS()
	set, skipped, err := token.ParseJWKS(body)
	require.NoError(w.t, err)
	require.Empty(w.t, skipped)
	return set.KIDs()
}

// The installation goes on under another key, at once.
func TestRevokeTheActiveKey(t *testing.T) {
	w := newWorld(t)
	a := w.client(w.root, "a", "notes:read")
	old, leaked := w.token(a), w.kid()
	cursor := w.snapshot("").Cursor
	w.mark()
	entry, _, err := w.Create(w.ctx, w.root, revocation.NewRevocation{Type: "kid", ID: leaked, Reason: "laptop stolen"})
	require.NoError(t, err)
	require.Equal(t, leaked, entry.ID)

	fresh := w.kid()
	require.NotEqual(t, leaked, fresh)
	require.Equal(t, map[string]store.KeyStatus{leaked: store.KeyRevoked, fresh: store.KeyActive}, w.keys())
	require.Equal(t, []string{fresh}, w.published())
	require.NoError(t, w.issuer.Ready())
	events := w.happened(idp.ActionKeyCreated, idp.ActionRevocationCreated)
	require.Equal(t, fresh, events[0].Metadata["kid"])
	for _, e := range events {
		require.Equal(t, w.root.AgentID, e.AgentID)
		require.Equal(t, "default", e.OrganizationID)
	}
	require.False(t, w.active(a, old))
	require.True(t, w.active(a, w.token(a)))
	require.Len(t, w.page(cursor, 0).Entries, 1)
	require.Len(t, w.snapshot("").Entries, 1, "signed with the new key")

	// The actor's own token was one of the old key's.
	_, _, err = w.Create(w.ctx, w.root, revocation.NewRevocation{Type: "kid", ID: leaked})
	require.Equal(t, "token_revoked", apierr.From(err).Reason)

	w.refresh(&w.root)
	again, _, err := w.Create(w.ctx, w.root, revocation.NewRevocation{Type: "kid", ID: leaked})
	require.NoError(t, err)
	require.Equal(t, entry, again)
	w.happened()
	require.Equal(t, fresh, w.kid())
	require.Equal(t, 1, w.signer.spares, "a repetition costs no key")
}

func TestRevokeARetiredKey(t *testing.T) {
	w := newWorld(t)
	a := w.client(w.root, "a", "notes:read")
	old, retired := w.token(a), w.kid()
	commit := func(ctx context.Context, change func(context.Context, *store.Tx) ([]idp.Event, error)) error {
		return w.log.Commit(ctx, change)
	}
	_, err := w.issuer.Import(w.ctx, commit, makePEM())
	require.NoError(t, err)
	active := w.kid()
	require.Len(t, w.published(), 2)
	require.True(t, w.active(a, old))
	w.refresh(&w.root)
	w.mark()
	_, _, err = w.Create(w.ctx, w.root, revocation.NewRevocation{Type: "kid", ID: retired})
	require.NoError(t, err)
	w.happened(idp.ActionRevocationCreated)
	require.Equal(t, map[string]store.KeyStatus{retired: store.KeyRevoked, active: store.KeyActive}, w.keys())
	require.Equal(t, []string{active}, w.published())
	require.False(t, w.active(a, old))
	require.Zero(t, w.signer.spares)
}

// Many at once end the one key, and make one.
func TestRevokeTheActiveKeyAtOnce(t *testing.T) {
	w := newWorld(t)
	leaked := w.kid()
	var callers sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		callers.Go(func() {
			_, _, errs[i] = w.Create(w.ctx, w.root, revocation.NewRevocation{Type: "kid", ID: leaked})
		})
	}
	callers.Wait()
	succeeded := 0
	for _, err := range errs {
		if err == nil {
			succeeded++
			continue
		}
		require.Equal(t, "token_revoked", apierr.From(err).Reason, "the first one ended the token of all")
	}
	require.Equal(t, 1, succeeded)
	require.Len(t, w.keys(), 2)
	w.happened(idp.ActionKeyCreated, idp.ActionRevocationCreated)
}

// Between commit and reload nobody's leaving may leave a dead key signing.
func TestRevokedKeySurvivesItsCaller(t *testing.T) {
	w := newWorld(t)
	leaked := w.kid()
	left, leave := context.WithCancel(w.ctx)
	leave()
	_, _, err := w.Create(left, w.root, revocation.NewRevocation{Type: "kid", ID: leaked})
	require.NoError(t, err)
	require.NotEqual(t, leaked, w.kid())
}

// A reload that fails is no success, and a repetition mends it.
func TestRevokedKeyIsReloaded(t *testing.T) {
	w := newWorld(t)
	leaked := w.kid()
	w.signer.reload = store.ErrUnavailable
	_, _, err := w.Create(w.ctx, w.root, revocation.NewRevocation{Type: "kid", ID: leaked})
	require.True(t, apierr.Is(err, apierr.StoreUnavailable), "%v", err)
	require.Equal(t, leaked, w.kid())

	w.signer.reload = nil
	_, _, err = w.Create(w.ctx, w.root, revocation.NewRevocation{Type: "kid", ID: leaked})
	require.Equal(t, "token_revoked", apierr.From(err).Reason)
	require.NotEqual(t, leaked, w.kid(), "even a refused repetition reloads")

	w.signer.reload = errors.New("key does not open")
	w.refresh(&w.root)
	_, _, err = w.Create(w.ctx, w.root, revocation.NewRevocation{Type: "kid", ID: w.kid()})
	require.ErrorIs(t, err, w.signer.reload)
}

// A snapshot that the old key signed is not given out once the key has changed.
func TestSnapshotFollowsTheKey(t *testing.T) {
	w := newWorld(t)
	w.signer.reload = errors.New("slow")
	_, _, err := w.Create(w.ctx, w.root, revocation.NewRevocation{Type: "kid", ID: w.kid()})
	require.Error(t, err)
	_, err = w.Poll(w.ctx, "", time.Minute) // signed by the old key, with the newest entry
	require.NoError(t, err)
	w.signer.reload = nil
	require.NoError(t, w.issuer.Reload(w.ctx))
	require.Len(t, w.snapshot("").Entries, 1)
}

// An entry without its consequence gets it, and the log says so.
func TestListedKeyIsReplaced(t *testing.T) {
	w := newWorld(t)
	leaked := w.kid()
	require.NoError(t, w.db.Update(w.ctx, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Revocations.Append(ctx, idp.Revocation{Type: idp.RevokeKID, ID: leaked, Reason: "test", At: w.now()})
		return err
	}))
	by := w.root
	by.KID = "another"
	_, _, err := w.Create(w.ctx, by, revocation.NewRevocation{Type: "kid", ID: leaked})
	require.NoError(t, err)
	w.happened(idp.ActionKeyCreated)
	require.Equal(t, map[string]store.KeyStatus{leaked: store.KeyRevoked, w.kid(): store.KeyActive}, w.keys())
}
