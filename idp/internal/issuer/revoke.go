package issuer

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"slices"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/token"
)

// Spare is a fresh key pair that is nowhere in use.
type Spare struct {
	row     store.Key
	private *rsa.PrivateKey
}

// Spare generates an RSA key of token.MinKeyBits, outside of any transaction
// because that takes a core for some tenths of a second.
func (i *Issuer) Spare() (*Spare, error) {
	private, err := rsa.GenerateKey(rand.Reader, token.MinKeyBits)
	if err != nil {
		return nil, fmt.Errorf("generate a signing key: %w", err)
	}
	row, err := i.seal(private)
	if err != nil {
		return nil, err
	}
	return &Spare{row: row, private: private}, nil
}

// insert makes the spare the active key.
func (s *Spare) insert(ctx context.Context, tx *store.Tx) ([]idp.Event, error) {
	return []idp.Event{keyEvent(idp.ActionKeyCreated, s.row.ID, s.private)}, tx.Keys.Insert(ctx, s.row)
}

// RevokeKey ends a key for good, in tx: it neither signs nor verifies any more
// once tx has committed and Reload has run. The active key gives its place to
// the next one or, when none is published, to the spare; without either that is
// an OVERLOADED, as the caller found another key active. The events lack who acted. A key that is revoked already is no error,
// one that is not in the store is idp.ErrNotFound.
func (i *Issuer) RevokeKey(ctx context.Context, tx *store.Tx, kid string, spare *Spare) ([]idp.Event, error) {
	keys, err := tx.Keys.List(ctx, store.UseToken)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(keys, func(k store.Key) bool { return k.ID == kid })
	if at < 0 {
		return nil, idp.ErrNotFound
	}
	was := keys[at].Status
	if was == store.KeyRevoked {
		return nil, nil
	}
	now := idp.Time(i.now())
	if err := tx.Keys.SetStatus(ctx, kid, store.KeyRevoked, now); err != nil || was != store.KeyActive {
		return nil, err
	}
	return succeed(ctx, tx, keys, spare, now)
}
