package revocation

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/issuer"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

// reasonRestored is the reason of every entry that a restore makes.
const reasonRestored = "store_restored"

// Restored cuts off, in tx, whatever was issued before a store was put back to
// an earlier state, because what was revoked since is not known any more:
//   - every organization's epoch rises beyond any that can have been given, also
//     after an earlier restore of the same backup: by the time, in milliseconds.
//     Each other raise was a call of somebody;
//   - every signing key is revoked, and the spare takes over: one of them may
//     have been revoked for having been stolen;
//   - the feed gets another epoch, so that every follower, also one that is
//     ahead of the store, takes a whole new snapshot.
//
// It returns how many organizations there are, and the events, which lack who
// acted. No replica may run: they would go on with what they have read before.
func Restored(ctx context.Context, tx *store.Tx, signer Signer, spare *issuer.Spare, at time.Time) (organizations int, events []idp.Event, err error) {
	if err := tx.Settings.Put(ctx, settingFeedEpoch, rand.Text()); err != nil {
		return 0, nil, err
	}
	if err := tx.Organizations.RaiseEpochs(ctx, at.UnixMilli()); err != nil {
		return 0, nil, err
	}
	cut, err := tx.Revocations.AppendOrganizations(ctx, reasonRestored, at)
	if err != nil {
		return 0, nil, err
	}
	events, err = cutKeys(ctx, tx, signer, spare, at)
	return int(cut), events, err
}

// cutKeys revokes the active key last: by then no next one is left, and the spare takes over.
func cutKeys(ctx context.Context, tx *store.Tx, signer Signer, spare *issuer.Spare, at time.Time) (events []idp.Event, err error) {
	keys, err := tx.Keys.List(ctx, store.UseToken)
	if err != nil {
		return nil, err
	}
	var others, active []string
	for _, k := range keys {
		switch k.Status {
		case store.KeyActive:
			active = append(active, k.ID)
		case store.KeyNext, store.KeyRetired:
			others = append(others, k.ID)
		case store.KeyRevoked:
		}
	}
	for _, kid := range append(others, active...) {
		if _, err := tx.Revocations.Append(ctx, idp.Revocation{Type: idp.RevokeKID, ID: kid, Reason: reasonRestored, At: at}); err != nil {
			return nil, err
		}
		made, err := signer.RevokeKey(ctx, tx, kid, spare)
		if err != nil {
			return nil, err
		}
		events = append(events, made...)
	}
	if len(active) > 1 {
		return nil, errors.New("there are several active signing keys")
	}
	return events, nil
}
