package clientauth

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/idp/internal/turnstile"
	"github.com/sentryagent/agentidp/shared/apierr"
)

// Reasons of INVALID_CLIENT: for the audit log, never shown to the caller.
const (
	ReasonClientUnknown       = "client_unknown"
	ReasonSecretWrong         = "secret_wrong"
	ReasonCredentialRevoked   = "credential_revoked" //nolint:gosec // the name of a reason
	ReasonCredentialExpired   = "credential_expired" //nolint:gosec // the name of a reason
	ReasonAgentDecommissioned = "agent_decommissioned"
)

// maxClientID is the longest client id looked up, in bytes; ours have 29.
const maxClientID = 128

// Attempt is one claim to be a client.
type Attempt struct {
	ClientID string
	Secret   string
	Gone     func() bool // reports that the caller left; nil: cannot tell
}

// Options of an Authenticator. DB and Hasher are required; a zero elsewhere is
// the default.
type Options struct {
	DB     store.DB
	Hasher Hasher   // of new secrets
	Others []Hasher // of the schemes that older rows may have

	CacheSize int // proven secrets remembered; default 10,000
	// Concurrency is how many hashes run at once. The default, half the cores
	// and at least one, leaves signing, which is bounded to the cores, never less
	// than half of them: whatever strangers make us hash, a client whose secret is
	// remembered is slowed by at most two.
	Concurrency int
	QueueLength int           // how many wait for a hash; default 64
	MaxWait     time.Duration // how long they wait; default 2 s
	Now         idp.Clock     // default time.Now
	Metrics     *metrics.Set  // default: counted for nobody
}

func (o *Options) setDefaults() error {
	if o.DB == nil || o.Hasher == nil {
		return errors.New("clientauth: DB and Hasher are required")
	}
	o.CacheSize = orDefault(o.CacheSize, 10_000)
	o.Concurrency = orDefault(o.Concurrency, max(1, runtime.GOMAXPROCS(0)/2))
	o.QueueLength = orDefault(o.QueueLength, 64)
	o.MaxWait = orDefault(o.MaxWait, 2*time.Second)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Metrics == nil {
		o.Metrics = metrics.NewSet()
	}
	if min(o.CacheSize, o.Concurrency, o.QueueLength) < 0 || o.MaxWait < 0 {
		return errors.New("clientauth: a bound is negative")
	}
	return nil
}

func orDefault[T comparable](value, fallback T) T {
	var zero T
	if value == zero {
		return fallback
	}
	return value
}

// Authenticator proves clients. It is safe for concurrent use; Close it at the end.
type Authenticator struct {
	options Options
	schemes map[string]Hasher
	decoy   idp.SecretHash // what an unknown client is hashed against
	line    *turnstile.Turnstile
	proofs  *proofs
	meters  meters
}

// New makes an Authenticator.
func New(o Options) (*Authenticator, error) {
	if err := o.setDefaults(); err != nil {
		return nil, err
	}
	proofs, err := newProofs(o.CacheSize)
	if err != nil {
		return nil, fmt.Errorf("proven-secret cache: %w", err)
	}
	a := &Authenticator{
		options: o, schemes: map[string]Hasher{}, decoy: o.Hasher.Decoy(),
		line: turnstile.New(o.Concurrency, o.QueueLength), proofs: proofs,
	}
	for _, h := range append([]Hasher{o.Hasher}, o.Others...) {
		a.schemes[h.Scheme()] = h
	}
	a.meters = newMeters(o.Metrics, a.line)
	return a, nil
}

// Close forgets every proven secret and stops the cache.
func (a *Authenticator) Close() { a.proofs.cache.Close() }

// Authenticate proves the attempt and returns what the store says about the
// client. The credential is live and the agent is not decommissioned, but it
// may be suspended: the secret was right, so the caller may be told.
//
// Every failure of the attempt is the same INVALID_CLIENT after the same work,
// one hash; only the reason differs, and the gate that comes with it when the
// client is known: both are for the audit log alone. OVERLOADED says that too
// many wait for a hash, STORE_UNAVAILABLE that nothing can be read.
func (a *Authenticator) Authenticate(ctx context.Context, t Attempt) (store.Gate, error) {
	// What cannot be right is refused before any work, whoever is named.
	if t.ClientID == "" || len(t.ClientID) > maxClientID {
		return store.Gate{}, invalidClient(ReasonClientUnknown)
	}
	if !hashable(t.Secret) {
		return store.Gate{}, invalidClient(ReasonSecretWrong)
	}
	gate, known, err := a.read(ctx, t.ClientID)
	if err != nil {
		return store.Gate{}, err
	}
	if now := a.options.Now(); known && dead(&gate, now) == "" && a.proofs.holds(&gate.Credential, t.Secret, now) {
		a.meters.hits.Inc()
		return gate, nil
	}
	a.meters.misses.Inc()
	proven, err := a.prove(ctx, t, a.candidates(&gate.Credential, known, t.Secret))
	if err != nil {
		return store.Gate{}, err
	}
	// Waiting and hashing took their time. Only what is so now counts.
	gate, known, err = a.read(ctx, t.ClientID)
	if err != nil {
		return store.Gate{}, err
	}
	return gate, a.judge(&gate, known, proven, t.Secret)
}

func (a *Authenticator) read(ctx context.Context, clientID string) (gate store.Gate, known bool, err error) {
	err = a.options.DB.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		gate, err = tx.Credentials.Gate(ctx, clientID)
		return err
	})
	if errors.Is(err, idp.ErrNotFound) {
		return store.Gate{}, false, nil
	}
	if err != nil {
		return store.Gate{}, false, apierr.New(apierr.StoreUnavailable, "clients cannot be authenticated now").
			WithReason("store_unavailable").WithRetryAfter(time.Second).WithCause(err)
	}
	return gate, true, nil
}

// candidates are the hashes to try: one, but for the one rotation in 256 whose
// two secrets have the same mark.
func (a *Authenticator) candidates(c *idp.Credential, known bool, secret string) []idp.SecretHash {
	if !known || c.Secret.Zero() {
		return []idp.SecretHash{a.decoy}
	}
	previous := c.OverlapSecret(a.options.Now())
	switch {
	case previous.Zero() || !a.candidate(previous, secret):
		return []idp.SecretHash{c.Secret}
	case !a.candidate(c.Secret, secret):
		return []idp.SecretHash{previous}
	default:
		return []idp.SecretHash{c.Secret, previous}
	}
}

func (a *Authenticator) candidate(hash idp.SecretHash, secret string) bool {
	h, known := a.schemes[hash.Scheme]
	return !known || h.Candidate(hash, secret)
}

// prove returns the first of the hashes that is of the secret, or none.
func (a *Authenticator) prove(ctx context.Context, t Attempt, hashes []idp.SecretHash) (idp.SecretHash, error) {
	if err := a.enter(ctx, t.Gone); err != nil {
		return idp.SecretHash{}, err
	}
	defer a.line.Leave()
	for _, hash := range hashes {
		right, err := a.verify(ctx, hash, t.Secret)
		if err != nil {
			return idp.SecretHash{}, a.undecided(ctx, err)
		}
		if right {
			return hash, nil
		}
	}
	return idp.SecretHash{}, nil
}

// judge decides on what was proven, secret first: a status is told to nobody who has not the secret.
func (a *Authenticator) judge(gate *store.Gate, known bool, proven idp.SecretHash, secret string) error {
	if !known {
		return invalidClient(ReasonClientUnknown)
	}
	now, place := a.options.Now(), slotCurrent
	switch {
	case proven.Zero():
		return invalidClient(ReasonSecretWrong)
	case proven == gate.Credential.Secret:
	case proven == gate.Credential.OverlapSecret(now):
		place = slotPrevious
	default: // rotated away meanwhile
		return invalidClient(ReasonSecretWrong)
	}
	if reason := dead(gate, now); reason != "" {
		return invalidClient(reason)
	}
	a.proofs.remember(&gate.Credential, place, secret)
	return nil
}

// dead says why the credential is no longer good; "" when it is.
func dead(gate *store.Gate, now time.Time) string {
	switch {
	case gate.Agent.Status == idp.Decommissioned:
		return ReasonAgentDecommissioned
	case gate.Credential.Status != idp.CredentialActive:
		return ReasonCredentialRevoked
	case !gate.Credential.Usable(now, gate.Organization.MaxCredentialAge):
		return ReasonCredentialExpired
	}
	return ""
}

func invalidClient(reason string) error {
	return apierr.New(apierr.InvalidClient, "client authentication failed").WithReason(reason)
}
