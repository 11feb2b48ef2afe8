package clientauth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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
	// Assertion is what the client signed instead of knowing a secret; ClientID
	// and Secret do not count then.
	Assertion *Assertion
	Gone      func() bool // reports that the caller left; nil: cannot tell
}

// Options of an Authenticator. DB and Hasher are required; a zero elsewhere is
// the default.
type Options struct {
	DB     store.DB
	Hasher Hasher   // of new secrets
	Others []Hasher // of the schemes that older rows may have
	Commit Commit   // makes the change of an upgrade durable with its event; nil: rows keep their scheme

	Issuer    string    // what assertions must be for; "": no assertion is accepted
	KeySource KeySource // of agents with a jwksUri; nil: they cannot authenticate

	CacheSize int // proven secrets remembered; default 10,000
	// Concurrency is how many hashes run at once: by default half the cores, and
	// at least one. As a refused attempt's place rests, strangers keep no more than
	// half of those busy: a client whose secret is remembered is slowed by less than two.
	Concurrency int
	QueueLength int           // how many wait for a hash; default 64
	MaxWait     time.Duration // how long they wait; default 2 s
	Now         idp.Clock     // default time.Now
	Metrics     *metrics.Set  // default: counted for nobody
	Logger      *slog.Logger  // default slog.Default
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
	if o.Logger == nil {
		o.Logger = slog.Default()
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
	options    Options
	schemes    *schemes
	line       *turnstile.Turnstile
	proofs     *proofs
	gates      gates
	flights    flights
	upgrades   *upgrades
	meters     meters
	assertions *assertions
}

// New makes an Authenticator.
func New(o Options) (*Authenticator, error) {
	if err := o.setDefaults(); err != nil {
		return nil, err
	}
	schemes, err := newSchemes(o.Hasher, o.Others)
	if err != nil {
		return nil, err
	}
	proofs, err := newProofs(o.CacheSize)
	if err != nil {
		return nil, fmt.Errorf("proven-secret cache: %w", err)
	}
	gates, err := newGates()
	if err != nil {
		return nil, fmt.Errorf("gate cache: %w", err)
	}
	a := &Authenticator{
		options: o, schemes: schemes, line: turnstile.New(o.Concurrency, o.QueueLength), proofs: proofs, gates: gates,
		flights: flights{all: map[flightKey]*flight{}}, upgrades: newUpgrades(o.Metrics),
	}
	a.meters = newMeters(o.Metrics, a.line)
	a.assertions, err = newAssertions(o.Metrics)
	return a, err
}

// Close ends upgrades under way, forgets every proven secret and stops the caches.
func (a *Authenticator) Close() {
	a.upgrades.close()
	a.proofs.cache.Close()
	a.gates.cache.Close()
}

// Authenticate proves the attempt and returns what the store says about the
// client. The credential is live and the agent is not decommissioned, but it
// may be suspended: the secret was right, so the caller may be told.
//
// Every failure of the attempt is the same INVALID_CLIENT after the same work,
// one hash of every scheme; only the reason differs, and the gate that comes
// with it when the client is known: both are for the audit log alone. OVERLOADED
// says that too many wait for a hash, STORE_UNAVAILABLE that nothing can be
// read, UNAVAILABLE that nobody can tell whether the secret is right.
func (a *Authenticator) Authenticate(ctx context.Context, t Attempt) (store.Gate, error) {
	if t.Assertion != nil {
		return a.authenticateAssertion(ctx, t)
	}
	if reason := t.impossible(); reason != "" {
		return store.Gate{}, invalidClient(reason)
	}
	gate, known, err := a.read(ctx, t.ClientID)
	for again := false; err == nil; again = true {
		if known && a.proven(&gate, t.Secret) {
			a.gates.remember(gate)
			return gate, nil
		}
		a.meters.misses.Inc()
		var found finding
		if found, err = a.proveOnce(ctx, t, &gate, known); err != nil {
			break
		}
		// Waiting and hashing took their time. Only what is so now counts.
		before := gate.Credential
		if gate, known, err = a.read(ctx, t.ClientID); err != nil {
			break
		}
		if again || !rehashed(&before, &gate.Credential, found.proven) {
			return gate, a.judge(&gate, known, found, t.Secret)
		}
	}
	return store.Gate{}, err
}

// proven reports whether the secret was proven for this gate before and is still good.
func (a *Authenticator) proven(gate *store.Gate, secret string) bool {
	now := a.options.Now()
	if dead(gate, now) != "" {
		return false
	}
	place, held := a.proofs.holds(&gate.Credential, secret, now)
	if held {
		a.meters.hits.Inc()
		a.renew(&gate.Credential, place, secret)
	}
	return held
}

// rehashed reports whether the secret that was proven seems to be in the row
// still, with another hash: an upgrade changes the hash alone, a rotation the
// time of the secret, too. Then it is worth to be proven again.
func rehashed(before, after *idp.Credential, proven idp.SecretHash) bool {
	return !proven.Zero() && proven == before.Secret && proven != after.Secret && proven != after.Previous &&
		before.SecretSetAt.Equal(after.SecretSetAt)
}

// impossible says why a secret cannot be right, whoever is named; "" when it can.
// Such an attempt is refused before any work: it tells nothing of the client.
func (t *Attempt) impossible() string {
	switch {
	case t.ClientID == "" || len(t.ClientID) > maxClientID:
		return ReasonClientUnknown
	case !hashable(t.Secret):
		return ReasonSecretWrong
	}
	return ""
}

func (a *Authenticator) read(ctx context.Context, clientID string) (gate store.Gate, known bool, err error) {
	err = a.options.DB.Read(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		gate, err = tx.Credentials.Gate(ctx, clientID)
		return err
	})
	known = err == nil
	if err != nil && !errors.Is(err, idp.ErrNotFound) {
		return store.Gate{}, false, unreadable(err)
	}
	a.gates.compare(clientID, &gate)
	return gate, known, nil
}

// unreadable says that the store is away, never that the client is wrong.
func unreadable(cause error) error {
	return apierr.New(apierr.StoreUnavailable, "clients cannot be authenticated now").
		WithReason("store_unavailable").WithRetryAfter(time.Second).WithCause(cause)
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
