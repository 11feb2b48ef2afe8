package clientauth

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/obs"
)

// Commit makes a change and its events durable together, as auditlog.Log does.
type Commit func(ctx context.Context, change func(ctx context.Context, tx *store.Tx) ([]idp.Event, error)) error

// The bounds of upgrades. The next use tries again what was left undone.
const (
	upgradesAtOnce = 2
	upgradeLimit   = 10 * time.Second
	upgradePause   = time.Minute // after a failure
)

// upgrades move rows to the configured scheme when their secret is proven, in
// the background: the login does not wait, and no failure is its own.
type upgrades struct {
	ctx     context.Context // ends with the Authenticator
	end     context.CancelFunc
	group   sync.WaitGroup
	pausing atomic.Int64 // Unix milliseconds until which nothing is tried

	mu     sync.Mutex
	closed bool            // guarded by mu
	busy   map[string]bool // credential ids under way; guarded by mu

	done, lost, failed *metrics.Counter
}

func newUpgrades(set *metrics.Set) *upgrades {
	counter := func(result string) *metrics.Counter {
		return set.NewCounter(obs.Name("agentidp_credential_upgrades_total", "result", result))
	}
	u := &upgrades{busy: map[string]bool{}, done: counter("done"), lost: counter("lost"), failed: counter("failed")}
	u.ctx, u.end = context.WithCancel(context.Background())
	return u
}

// begin reports whether the credential may be upgraded now: few at once, each once.
func (u *upgrades) begin(id string, now time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed || len(u.busy) >= upgradesAtOnce || u.busy[id] || now.UnixMilli() < u.pausing.Load() {
		return false
	}
	u.busy[id] = true
	return true
}

func (u *upgrades) finish(id string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.busy, id)
}

func (u *upgrades) close() {
	u.mu.Lock()
	u.closed = true
	u.mu.Unlock()
	u.end()
	u.group.Wait()
}

// renew begins to move the credential to the configured scheme, if it is not
// there and the secret was just proven to be the current one. The secret of an
// overlap is left alone: it ends soon.
func (a *Authenticator) renew(c *idp.Credential, place slot, secret string) {
	if place != slotCurrent || a.options.Commit == nil || !a.schemes.stale(c.Secret) || !a.upgrades.begin(c.ID, a.options.Now()) {
		return
	}
	before := *c
	a.upgrades.group.Go(func() {
		defer a.upgrades.finish(before.ID)
		ctx, cancel := context.WithTimeout(a.upgrades.ctx, upgradeLimit)
		defer cancel()
		if err := a.upgrade(ctx, &before, secret); err != nil && a.upgrades.ctx.Err() == nil {
			a.upgrades.failed.Inc()
			a.upgrades.pausing.Store(a.options.Now().Add(upgradePause).UnixMilli())
			a.options.Logger.WarnContext(ctx, "a credential was not moved to the configured secret scheme",
				"credentialId", before.ID, "from", before.Secret.Scheme, "to", a.options.Hasher.Scheme(), "error", err)
		}
	})
}

// upgrade puts a new hash of the same secret in the place of the old one,
// unless the credential changed meanwhile: then that change wins.
func (a *Authenticator) upgrade(ctx context.Context, before *idp.Credential, secret string) error {
	hash, err := a.Hash(ctx, before.ID, secret)
	if errors.Is(err, idp.ErrConflict) { // another replica does the same
		a.upgrades.lost.Inc()
		return nil
	}
	if err != nil {
		return err
	}
	won := false
	after := *before
	err = a.options.Commit(ctx, func(ctx context.Context, tx *store.Tx) ([]idp.Event, error) {
		won = false
		c, err := tx.Credentials.Get(ctx, before.AgentID, before.ID)
		if err != nil || c.Version != before.Version || c.Secret != before.Secret {
			return nil, err
		}
		c.Secret = hash
		if err := tx.Credentials.Update(ctx, c); err != nil {
			return nil, err
		}
		c.Version++
		after, won = c, true
		return []idp.Event{upgraded(before, hash)}, nil
	})
	switch {
	case err != nil:
		return err
	case won:
		a.proofs.remember(&after, slotCurrent, secret)
		a.upgrades.done.Inc()
	default:
		a.upgrades.lost.Inc()
	}
	return nil
}

// upgraded is an event of nobody: the use of a credential is its cause, the configuration its reason.
func upgraded(c *idp.Credential, to idp.SecretHash) idp.Event {
	return idp.Event{
		OrganizationID: c.OrganizationID, Action: idp.ActionCredentialUpgraded, Outcome: idp.Success,
		Metadata: map[string]any{
			"targetAgentId": c.AgentID, "credentialId": c.ID, "clientId": c.ClientID, "from": c.Secret.Scheme, "to": to.Scheme,
		},
	}
}
