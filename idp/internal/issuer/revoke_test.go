package issuer

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/shared/token"
)

func (i *Issuer) revoke(t *testing.T, log *journal, kid string, spare *Spare) error {
	t.Helper()
	err := log.commit(t.Context(), func(ctx context.Context, tx *store.Tx) ([]idp.Event, error) {
		return i.RevokeKey(ctx, tx, kid, spare)
	})
	require.NoError(t, i.Reload(t.Context()))
	return err
}

func TestRevokeKey(t *testing.T) {
	ctx, db, clock := t.Context(), openStore(t), newClock()
	log := &journal{db: db}
	issuer, err := Open(ctx, db, newSealer(t, 1), Auto, clock.now)
	require.NoError(t, err)
	require.NoError(t, issuer.EnsureKey(ctx, log.commit))
	first := issuer.ActiveKID()
	old, err := issuer.Mint(ctx, claims(issuer), nil)
	require.NoError(t, err)

	// The active key does not go without another in its place.
	require.Equal(t, "key_changed", apierr.From(issuer.revoke(t, log, first, nil)).Reason)
	require.ErrorIs(t, issuer.revoke(t, log, "none", nil), idp.ErrNotFound)
	require.Equal(t, first, issuer.ActiveKID())

	spare, err := issuer.Spare()
	require.NoError(t, err)
	require.NoError(t, issuer.revoke(t, log, first, spare))
	second := issuer.ActiveKID()
	require.NotEqual(t, first, second)
	require.Equal(t, idp.ActionKeyCreated, log.events[1].Action)
	require.Equal(t, map[string]any{"kid": second, "bits": int64(2048)}, log.events[1].Metadata)
	require.Len(t, issuer.List(), 1)
	_, err = issuer.Keys().Key(first)
	require.ErrorIs(t, err, token.ErrUnknownKey)
	_, err = verifier(issuer).Verify(ctx, old)
	require.Error(t, err)
	fresh, err := issuer.Mint(ctx, claims(issuer), nil)
	require.NoError(t, err)
	_, err = verifier(issuer).Verify(ctx, fresh)
	require.NoError(t, err)

	// Again, and of a key that only verifies: nothing is put in its place.
	spare, err = issuer.Spare()
	require.NoError(t, err)
	require.NoError(t, issuer.revoke(t, log, first, spare))
	require.Equal(t, second, issuer.ActiveKID())
	text, _ := pemOf(t, 2048)
	third, err := issuer.Import(ctx, log.commit, text)
	require.NoError(t, err)
	require.Len(t, issuer.List(), 2)
	require.NoError(t, issuer.revoke(t, log, second, spare))
	require.Equal(t, third, issuer.ActiveKID())
	require.Len(t, issuer.List(), 1)
	require.Len(t, log.events, 3)

	// What was revoked does not come back by import.
	issuer, err = Open(ctx, db, newSealer(t, 1), Auto, clock.now)
	require.NoError(t, err)
	require.NoError(t, issuer.revoke(t, log, third, spare))
	_, err = issuer.Import(ctx, log.commit, text)
	require.Equal(t, "key_exists", apierr.From(err).Reason)
}

// However a listed key came to be active, nobody accepts what it signs.
func TestListedKeyIsNotReady(t *testing.T) {
	issuer := ready(t)
	kid := issuer.ActiveKID()
	require.NoError(t, issuer.db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Revocations.Append(ctx, idp.Revocation{Type: idp.RevokeKID, ID: kid, Reason: "test", At: issuer.now()})
		return err
	}))
	require.NoError(t, issuer.Ready())
	require.NoError(t, issuer.Reload(t.Context()))
	require.Error(t, issuer.Ready())
	require.Empty(t, issuer.List())
	_, err := issuer.Mint(t.Context(), claims(issuer), nil)
	require.Error(t, err)

	// The next start makes another.
	require.NoError(t, issuer.EnsureKey(t.Context(), (&journal{db: issuer.db}).commit))
	require.NotEqual(t, kid, issuer.ActiveKID())
}
