// Package registry holds the use cases around organizations, agents and their
// credentials: who may do what to whom, the status machine, limits, and what a
// change does to live tokens. Every change and its audit events commit together.
package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/auditlog"
	"github.com/sentryagent/agentidp/idp/internal/clientauth"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/apierr"
)

// Hasher makes the form in which a new secret rests. It is slow by design, and
// bounded: one that is busy answers OVERLOADED.
type Hasher interface {
	Hash(ctx context.Context, credentialID, secret string) (idp.SecretHash, error)
}

// Options are the parts a Service is made of. DB, Log and Hasher are required.
type Options struct {
	DB     store.DB
	Log    *auditlog.Log
	Hasher Hasher
	Limits idp.Limits
	Now    idp.Clock // default time.Now
	// AllowHTTP admits a jwksUri with http on the loopback interface.
	AllowHTTP bool
	Metrics   *metrics.Set // default: counted for nobody
	// Forget drops what a scheme keeps of a revoked credential outside the store.
	// It is called after the commit, which has ended the credential already, and
	// deals with its own failures. Default: nothing is kept elsewhere.
	Forget func(ctx context.Context, credential idp.Credential)
}

// Service is safe for concurrent use and keeps no state but its metrics.
type Service struct {
	db     store.DB
	log    *auditlog.Log
	hasher Hasher
	limits idp.Limits
	clock  idp.Clock
	meters meters
	drop   func(ctx context.Context, credential idp.Credential) // may be nil

	allowHTTP bool
}

// New makes a service.
func New(o Options) *Service {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Metrics == nil {
		o.Metrics = metrics.NewSet()
	}
	return &Service{
		db: o.DB, log: o.Log, hasher: o.Hasher, limits: o.Limits, clock: o.Now, meters: newMeters(o.Metrics), drop: o.Forget, allowHTTP: o.AllowHTTP,
	}
}

func (s *Service) now() time.Time { return idp.Time(s.clock()) }

func (s *Service) view(ctx context.Context, fn func(ctx context.Context, tx *store.Tx) error) error {
	return StoreError(s.db.View(ctx, fn))
}

// secret makes a client secret of the credential and its form at rest, before
// the transaction, never inside.
func (s *Service) secret(ctx context.Context, credentialID string) (string, idp.SecretHash, error) {
	secret := clientauth.NewSecret()
	hash, err := s.hash(ctx, credentialID, secret)
	return secret, hash, err
}

func (s *Service) hash(ctx context.Context, credentialID, secret string) (idp.SecretHash, error) {
	hash, err := s.hasher.Hash(ctx, credentialID, secret)
	if errors.Is(err, idp.ErrConflict) {
		return idp.SecretHash{}, apierr.New(apierr.InvalidState, "the credential gets another secret at the same time").
			WithReason("credential_changed").WithCause(err)
	}
	if err != nil {
		return idp.SecretHash{}, StoreError(fmt.Errorf("hash a new secret: %w", err))
	}
	return hash, nil
}

// StoreError turns a store that cannot answer, or not in time, into a 503; other errors pass.
func StoreError(err error) error {
	var refusal *apierr.Error
	if errors.As(err, &refusal) {
		return err
	}
	if errors.Is(err, store.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) {
		return apierr.New(apierr.StoreUnavailable, "the store cannot be read now").
			WithReason("store_unavailable").WithRetryAfter(time.Second).WithCause(err)
	}
	return err
}

// Invalid is the refusal that lists broken rules, nil when there are none.
func Invalid(rules ...[]idp.Rule) error {
	var fields []apierr.Field
	for _, broken := range rules {
		for _, r := range broken {
			fields = append(fields, apierr.Field{Field: r.Field, Rule: r.Text})
		}
	}
	if fields == nil {
		return nil
	}
	return apierr.Invalid(fields...)
}

// checkPage demands a page that the store can serve.
func checkPage(page store.Page) []idp.Rule {
	const last = 1_000_000
	var rules []idp.Rule
	if page.Number < 1 || page.Number > last {
		rules = append(rules, idp.Rule{Field: "page", Text: fmt.Sprintf("must be 1 to %d", last)})
	}
	if page.Limit < 1 || page.Limit > 100 {
		rules = append(rules, idp.Rule{Field: "limit", Text: "must be 1 to 100"})
	}
	return rules
}

// Prune forgets idempotency keys past their 24 hours. Call it now and then.
func (s *Service) Prune(ctx context.Context) error {
	return StoreError(store.PruneAll(ctx, s.db, func(ctx context.Context, tx *store.Tx) (bool, error) {
		return tx.Idempotency.Prune(ctx, s.now().Add(-keyLife))
	}))
}
