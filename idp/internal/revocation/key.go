package revocation

import (
	"context"
	"time"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/issuer"
	"github.com/sentryagent/agentidp/idp/internal/registry"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

// keyBudget is longer than the log may take to commit, and some more to reload.
const keyBudget = 35 * time.Second

// createForKey revokes a key. When it is the one that signs, the next request
// needs another: it is made first and put in its place in the same transaction.
//
// The caller's leaving stops nothing: between the commit and the reload the
// process would sign with a key that nobody accepts.
func (s *Service) createForKey(ctx context.Context, actor *registry.Actor, in *NewRevocation) (idp.Revocation, bool, error) {
	ctx, done := context.WithTimeout(context.WithoutCancel(ctx), keyBudget)
	defer done()
	spare, err := s.spareFor(ctx, actor, in.ID)
	if err != nil {
		return idp.Revocation{}, false, err
	}
	entry, replayed, err := s.create(ctx, actor, in, spare)
	// Also after an error, which may hide a commit, and for one that was made
	// before: a repetition must mend a reload that failed.
	reloading := registry.StoreError(s.signer.Reload(ctx))
	if err == nil {
		err = reloading
	}
	if err != nil {
		return idp.Revocation{}, false, err
	}
	return entry, replayed, nil
}

// spareFor makes a spare when the key is the active one, nil otherwise.
func (s *Service) spareFor(ctx context.Context, actor *registry.Actor, kid string) (*issuer.Spare, error) {
	var status store.KeyStatus
	err := s.view(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		status, err = keyStatus(ctx, tx, actor, kid)
		return err
	})
	if err != nil || status != store.KeyActive {
		return nil, err
	}
	return s.signer.Spare()
}

// keyStatus finds a key that the actor may revoke.
func keyStatus(ctx context.Context, tx *store.Tx, actor *registry.Actor, kid string) (store.KeyStatus, error) {
	if !actor.Operator() {
		return "", operatorOnly("revoke a key")
	}
	keys, err := tx.Keys.List(ctx, store.UseToken)
	if err != nil {
		return "", err
	}
	for _, key := range keys {
		if key.ID == kid {
			return key.Status, nil
		}
	}
	return "", noTarget("key", "key_not_found")
}

func (c *cut) key(ctx context.Context) (string, error) {
	if _, err := keyStatus(ctx, c.tx, c.actor, c.in.ID); err != nil {
		return "", err
	}
	events, err := c.service.signer.RevokeKey(ctx, c.tx, c.in.ID, c.spare)
	if err != nil {
		return "", err
	}
	for _, e := range events {
		e.AgentID, e.Origin = c.actor.AgentID, c.actor.Origin
		c.events = append(c.events, e)
	}
	return c.actor.OrganizationID, c.list(ctx, "", c.in.ID, time.Time{})
}
