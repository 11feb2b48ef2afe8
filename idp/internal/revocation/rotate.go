package revocation

import (
	"context"
	"net/http"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/registry"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

// Rotation is the body of POST /keys/rotate.
type Rotation struct {
	// Emergency kills the key that signs, with every token it signed, and lets
	// another sign at once. Verifiers have to fetch that one first.
	Emergency bool
	Reason    string // of an emergency, for the audit log; empty: "revoked"
}

// RotateKey makes another key sign: after it has been published for long
// enough, or in an emergency at once. It returns the key to come. replayed says
// that an earlier request with the same Idempotency-Key did it.
func (s *Service) RotateKey(ctx context.Context, actor registry.Actor, in Rotation) (key store.Key, replayed bool, err error) {
	if !actor.Operator() {
		return store.Key{}, false, operatorOnly("rotate the signing key")
	}
	if in.Emergency {
		return s.replaceKey(ctx, actor, in.Reason)
	}
	ctx, done := context.WithTimeout(context.WithoutCancel(ctx), keyBudget)
	defer done()
	spare, err := s.signer.Spare()
	if err != nil {
		return store.Key{}, false, err
	}
	now := s.now()
	var kid string
	var again bool
	err = actor.Commit(ctx, s.log, func(ctx context.Context, tx *store.Tx) (events []idp.Event, err error) {
		kid, err = actor.Replayed(ctx, tx, now)
		if again = kid != ""; err != nil || again {
			return nil, err
		}
		kid, events, err = s.signer.Rotate(ctx, tx, spare)
		if err != nil {
			return nil, err
		}
		for i := range events {
			events[i].AgentID, events[i].Origin = actor.AgentID, actor.Origin
		}
		return events, actor.Remember(ctx, tx, http.StatusAccepted, kid, now)
	})
	if err != nil {
		return store.Key{}, false, err
	}
	if err := registry.StoreError(s.signer.Reload(ctx)); err != nil {
		return store.Key{}, false, err
	}
	key, err = s.key(ctx, func(k *store.Key) bool { return k.ID == kid })
	return key, again, err
}

// replaceKey revokes the key that signs and returns the one in its place.
func (s *Service) replaceKey(ctx context.Context, actor registry.Actor, reason string) (store.Key, bool, error) {
	active := func(k *store.Key) bool { return k.Status == store.KeyActive }
	was, err := s.key(ctx, active)
	if err != nil {
		return store.Key{}, false, err
	}
	_, replayed, err := s.Create(ctx, actor, NewRevocation{Type: string(idp.RevokeKID), ID: was.ID, Reason: reason})
	if err != nil {
		return store.Key{}, false, err
	}
	now, err := s.key(ctx, active)
	return now, replayed, err
}

// key finds the first key that is wanted.
func (s *Service) key(ctx context.Context, wanted func(*store.Key) bool) (found store.Key, err error) {
	err = s.view(ctx, func(ctx context.Context, tx *store.Tx) error {
		keys, err := tx.Keys.List(ctx, store.UseToken)
		if err != nil {
			return err
		}
		for i := range keys {
			if wanted(&keys[i]) {
				found = keys[i]
				return nil
			}
		}
		return noTarget("key", "key_not_found")
	})
	return found, err
}
