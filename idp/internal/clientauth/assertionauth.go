package clientauth

import (
	"context"
	"crypto"
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

// KeyAddress is where the keys of an organization's agent are published.
type KeyAddress struct{ OrganizationID, URI string }

// KeySource has the keys behind agents' jwksUri. It is safe for concurrent use.
type KeySource interface {
	// Keys returns the key set at the address. holds says whether a set has the
	// key that is looked for: when the set at hand has not, a newer one may be
	// fetched, and what is returned may still lack it. An error says that the
	// keys cannot be known now, never that there is no such key. No organization
	// keeps another's from being fetched.
	Keys(ctx context.Context, at KeyAddress, holds func(*KeySet) bool) (*KeySet, error)
}

const assertionQueue = 256 // who waits for a signature check, which takes a fraction of a millisecond

// assertions is the part of an Authenticator that checks client assertions.
type assertions struct {
	decoys *decoys
	line   *turnstile.Turnstile // never the one of the hashes: a check takes a thousandth of a hash
	proven *metrics.Counter
	failed *metrics.Counter
}

func newAssertions(set *metrics.Set) (*assertions, error) {
	decoys, err := newDecoys()
	if err != nil {
		return nil, err
	}
	return &assertions{
		decoys: decoys, line: turnstile.New(runtime.GOMAXPROCS(0), assertionQueue),
		proven: set.NewCounter(`agentidp_client_assertions_total{result="proven"}`),
		failed: set.NewCounter(`agentidp_client_assertions_total{result="refused"}`),
	}, nil
}

// authenticateAssertion proves a client by its signature, up to the replay:
// whoever grants something must Spend the assertion with it.
func (a *Authenticator) authenticateAssertion(ctx context.Context, t Attempt) (store.Gate, error) {
	gate, err := a.assert(ctx, t)
	switch {
	case err == nil:
		a.assertions.proven.Inc()
	case apierr.Is(err, apierr.InvalidClient):
		a.assertions.failed.Inc()
	}
	return gate, err
}

func (a *Authenticator) assert(ctx context.Context, t Attempt) (store.Gate, error) {
	if a.options.Issuer == "" {
		return store.Gate{}, invalidClient(reasonAssertionsNotOffered)
	}
	// What is wrong whoever is named costs nothing more.
	if reason := t.Assertion.wrong(a.options.Issuer, a.options.Now()); reason != "" {
		return store.Gate{}, invalidClient(reason)
	}
	before, known, err := a.read(ctx, t.Assertion.ClientID)
	if err != nil {
		return store.Gate{}, err
	}
	keys, reason, err := a.keysOf(ctx, &before, known, t.Assertion)
	if err != nil {
		return before, err
	}
	if reason, err = a.check(ctx, t, keys, reason); err != nil {
		return store.Gate{}, err
	}
	if reason != "" {
		return before, invalidClient(reason)
	}
	gate, err := a.confirm(ctx, &before)
	if err != nil {
		return gate, err
	}
	// After the gate: the epochs of a gate from before a restore admit nothing.
	return gate, a.unspent(ctx, t.Assertion)
}

// confirm reads the gate again: fetching keys and waiting took their time, and
// only what is so now counts. The version tells of other keys, too.
func (a *Authenticator) confirm(ctx context.Context, before *store.Gate) (store.Gate, error) {
	gate, known, err := a.read(ctx, before.Credential.ClientID)
	if err != nil {
		return store.Gate{}, err
	}
	switch {
	case !known:
		return gate, invalidClient(ReasonClientUnknown)
	case dead(&gate, a.options.Now()) != "":
		return gate, invalidClient(dead(&gate, a.options.Now()))
	case gate.Credential.Version != before.Credential.Version:
		return gate, apierr.New(apierr.Overloaded, "the credential is being changed; try again").
			WithReason(reasonAuthenticationChanged).WithRetryAfter(time.Second)
	}
	return gate, nil
}

// wrong judges the claims against audience and clock; "" when they hold.
func (a *Assertion) wrong(audience string, now time.Time) (reason string) {
	switch {
	// The issuer identifier as the sole value (draft-ietf-oauth-rfc7523bis section 4).
	case len(a.audience) != 1 || a.audience[0] != audience:
		return ReasonAssertionAudience
	case !now.Before(a.Expires.Add(assertionLeeway)):
		return ReasonAssertionExpired
	case a.Expires.After(now.Add(assertionLife + assertionLeeway)):
		return ReasonAssertionLifetime
	case a.notBefore.After(now.Add(assertionLeeway)) || a.issuedAt.After(now.Add(assertionLeeway)):
		return ReasonAssertionNotYetValid
	case !a.issuedAt.IsZero() && a.issuedAt.Before(now.Add(-assertionOldest)):
		return ReasonAssertionExpired
	}
	return ""
}

// keys is where an agent's key is looked for.
type keys struct {
	set      *KeySet // as fetched; nil: document has them
	document []byte  // the agent's jwks; nil: it has none
}

// keysOf says where the client's key is to be found; with a reason nowhere, and
// a decoy is checked. An error is the key source's. Nothing is parsed here: that
// waits its turn.
func (a *Authenticator) keysOf(ctx context.Context, gate *store.Gate, known bool, t *Assertion) (found keys, reason string, err error) {
	switch {
	case !known:
		return keys{}, ReasonClientUnknown, nil
	case gate.Credential.Method != idp.MethodPrivateKey:
		return keys{}, ReasonMethodMismatch, nil
	case dead(gate, a.options.Now()) != "":
		return keys{}, dead(gate, a.options.Now()), nil
	case gate.Agent.JWKS == nil && gate.Agent.JWKSURI != "":
		found.set, err = a.fetchKeys(ctx, KeyAddress{gate.Agent.OrganizationID, gate.Agent.JWKSURI}, t)
		return found, "", err
	}
	return keys{document: gate.Agent.JWKS}, "", nil
}

// find returns the key that the assertion names; nil: there is none.
func (k keys) find(t *Assertion) (crypto.PublicKey, error) {
	set := k.set
	if set == nil {
		set = &KeySet{}
		if k.document != nil {
			var err error
			if set, err = ReadKeySet(k.document); err != nil {
				return nil, fmt.Errorf("stored keys: %w", err)
			}
		}
	}
	public, _ := set.find(t.keyID, t.algorithm)
	return public, nil
}

var errNoKeySource = errors.New("no source of keys by address")

func (a *Authenticator) fetchKeys(ctx context.Context, at KeyAddress, t *Assertion) (*KeySet, error) {
	set, err := (*KeySet)(nil), errNoKeySource
	if a.options.KeySource != nil {
		set, err = a.options.KeySource.Keys(ctx, at, func(s *KeySet) bool {
			_, found := s.find(t.keyID, t.algorithm)
			return found
		})
	}
	if err != nil {
		return nil, apierr.New(apierr.Unavailable, "the client's keys cannot be fetched now").
			WithReason(reasonKeysUnavailable).WithRetryAfter(5 * time.Second).WithCause(err)
	}
	return set, nil
}

// check finds the key and verifies the signature, in line with everybody else:
// reading keys is work, too. It returns why the assertion is refused; with a
// reason already it does the work of a check all the same.
func (a *Authenticator) check(ctx context.Context, t Attempt, from keys, refused string) (reason string, err error) {
	wait, cancel := context.WithTimeoutCause(ctx, a.options.MaxWait, errTooLong)
	defer cancel()
	if err := a.assertions.line.Enter(wait); err != nil {
		return "", busy(ReasonBusy, err)
	}
	defer a.assertions.line.Leave()
	if t.Gone != nil && t.Gone() {
		return "", busy("caller_gone", errGone)
	}
	var key crypto.PublicKey
	if refused == "" {
		if key, err = from.find(t.Assertion); err != nil {
			return "", err
		}
		if key == nil {
			refused = ReasonAssertionKeyUnknown
		}
	}
	right := a.assertions.decoys.verify(t.Assertion, key)
	if refused == "" && !right {
		refused = ReasonAssertionSignature
	}
	return refused, nil
}

// Spend uses the assertion up in the transaction that grants something for it:
// INVALID_CLIENT when it was used before. On the way to a token the admission
// does it (store.Admission.Assertion).
func (a *Assertion) Spend(ctx context.Context, tx *store.Tx) error {
	use := a.Use()
	err := tx.Assertions.Use(ctx, a.ClientID, use.JTI, use.Expires)
	if errors.Is(err, idp.ErrConflict) {
		return ErrReplayed()
	}
	return err
}

// ErrReplayed is the refusal of an assertion that was used before (RFC 7523 section 3, item 7).
func ErrReplayed() error { return invalidClient(ReasonAssertionReplayed) }

// Prune forgets used assertions that have expired an hour ago: our clock may be
// ahead of the replica's that would accept them. Call it now and then.
func (a *Authenticator) Prune(ctx context.Context) error {
	return store.PruneAll(ctx, a.options.DB, func(ctx context.Context, tx *store.Tx) (bool, error) {
		return tx.Assertions.Prune(ctx, a.options.Now().Add(-time.Hour))
	})
}
