// Package revocation says which tokens are dead and makes them so: token
// introspection (RFC 7662) and revocation (RFC 7009), revocations made by hand,
// and the feed that carries all of them to the sidecars.
package revocation

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/auditlog"
	"github.com/sentryagent/agentidp/idp/internal/issuer"
	"github.com/sentryagent/agentidp/idp/internal/registry"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/idp/internal/volatile"
	"github.com/sentryagent/agentidp/idp/internal/volatile/local"
	"github.com/sentryagent/agentidp/shared/token"
)

// Signer is the issuer's side of the keys: it signs snapshots of the feed, and
// lets a key be revoked without an hour in which nothing can be signed.
type Signer interface {
	// Sign makes a compact JWS of the type over the payload, with the active key.
	Sign(ctx context.Context, typ string, payload []byte) (string, error)
	// ActiveKID is the key that signs now.
	ActiveKID() string
	// Spare makes a key that could sign. It takes long: never in a transaction.
	Spare() (*issuer.Spare, error)
	// RevokeKey ends a key in tx; when it is the active one the spare, if any, takes its place.
	RevokeKey(ctx context.Context, tx *store.Tx, kid string, spare *issuer.Spare) ([]idp.Event, error)
	// Rotate lets another key take over in tx, in time: the next one, or else the spare.
	Rotate(ctx context.Context, tx *store.Tx, spare *issuer.Spare) (kid string, events []idp.Event, err error)
	// Reload takes up what was committed.
	Reload(ctx context.Context) error
}

// Options are the parts a Service is made of. Those without a default are required.
type Options struct {
	DB          store.DB
	Log         *auditlog.Log
	Keys        token.Keys // the issuer's own
	Signer      Signer
	Issuer      string        // iss of tokens and snapshots
	MaxTokenTTL time.Duration // longest life of a token that may be around; default 1 h
	Leeway      time.Duration // longest that a verifier accepts a token past its exp; default 1 min
	Bus         volatile.Bus  // brings news of other replicas sooner than the store may; default: none
	Now         idp.Clock     // default time.Now
}

// Topic is where a replica says that something was revoked.
const Topic = "revocations"

// Service is safe for concurrent use.
type Service struct {
	db       store.DB
	log      *auditlog.Log
	keys     token.Keys
	signer   Signer
	bus      volatile.Bus
	issuer   string
	maxTTL   time.Duration
	leeway   time.Duration
	clock    idp.Clock
	epoch    string // of the feed; the same for all replicas
	reads    readings
	snapshot snapshots
}

// settingFeedEpoch holds the feed's epoch, random, once per store.
const settingFeedEpoch = "feed.epoch"

// Open makes a service and, the first time on a store, the feed's epoch.
func Open(ctx context.Context, o Options) (*Service, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Bus == nil {
		o.Bus = local.New(o.Now)
	}
	if o.MaxTokenTTL <= 0 {
		o.MaxTokenTTL = time.Hour
	}
	if o.Leeway <= 0 {
		o.Leeway = time.Minute
	}
	s := &Service{
		db: o.DB, log: o.Log, keys: o.Keys, signer: o.Signer, bus: o.Bus, issuer: o.Issuer,
		maxTTL: o.MaxTokenTTL, leeway: o.Leeway, clock: o.Now, snapshot: newSnapshots(),
	}
	err := o.DB.Update(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		s.epoch, err = tx.Settings.PutIfAbsent(ctx, settingFeedEpoch, rand.Text())
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("feed epoch: %w", err)
	}
	return s, nil
}

// ErrRestored says that the store was declared restored since Open. What this
// process keeps in memory is of another history: it must end and start again.
var ErrRestored = errors.New("the store was restored: start again")

// Current is ErrRestored once the feed has another epoch.
func (s *Service) Current(ctx context.Context) error {
	return s.view(ctx, func(ctx context.Context, tx *store.Tx) error {
		epoch, err := tx.Settings.Get(ctx, settingFeedEpoch)
		if err == nil && epoch != s.epoch {
			err = ErrRestored
		}
		return err
	})
}

// Epoch names the feed, as its cursors do.
func (s *Service) Epoch() string { return s.epoch }

func (s *Service) now() time.Time { return idp.Time(s.clock()) }

func (s *Service) view(ctx context.Context, fn func(ctx context.Context, tx *store.Tx) error) error {
	return registry.StoreError(s.db.View(ctx, fn))
}

// TokenLive decides whether a verified token is still good, and reads who
// holds it. A dead one is UNAUTHENTICATED with a reason for the audit log. What
// counts is said, and asked again for every change, by registry.Actor.Live.
func (s *Service) TokenLive(ctx context.Context, claims token.Claims) (gate store.Gate, err error) {
	bearer := registry.Actor{
		AgentID: claims.Subject, OrganizationID: claims.Organization, ClientID: claims.ClientID, JTI: claims.JTI, KID: claims.KID,
		Rev: idp.Rev{Organization: claims.Rev[0], Agent: claims.Rev[1], Credential: claims.Rev[2]},
	}
	err = s.view(ctx, func(ctx context.Context, tx *store.Tx) error {
		gate, err = bearer.Live(ctx, tx)
		return err
	})
	return gate, err
}

// Prune forgets entries that no live token can be concerned by, nor be if our
// clock turns out to be a token's lifetime ahead. Call it now and then.
func (s *Service) Prune(ctx context.Context) error {
	long := s.now().Add(-s.maxTTL - s.leeway)
	return registry.StoreError(store.PruneAll(ctx, s.db, func(ctx context.Context, tx *store.Tx) (bool, error) {
		return tx.Revocations.Prune(ctx, long, long)
	}))
}
