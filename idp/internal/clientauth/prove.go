package clientauth

import (
	"context"
	"errors"
	"time"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

// candidates are the hashes to try: none of an unknown client or one without a
// secret, else one, but for the one rotation in 256 whose two secrets have the
// same mark.
func (a *Authenticator) candidates(c *idp.Credential, secret string) []idp.SecretHash {
	if c.Secret.Zero() {
		return nil
	}
	previous := c.OverlapSecret(a.options.Now())
	switch {
	case previous.Zero() || !a.schemes.candidate(previous, secret):
		return []idp.SecretHash{c.Secret}
	case !a.schemes.candidate(c.Secret, secret):
		return []idp.SecretHash{previous}
	default:
		return []idp.SecretHash{c.Secret, previous}
	}
}

// finding is what trying the hashes brought.
type finding struct {
	proven idp.SecretHash // is of the secret; zero: none is
	lost   idp.SecretHash // may be of it, and refers to nothing; zero: none does
}

// prove tries the hashes until one is of the secret. What is refused all the
// same, because no hash is or the credential is dead, costs what every refusal
// costs.
func (a *Authenticator) prove(ctx context.Context, t Attempt, gate *store.Gate, known bool) (found finding, err error) {
	credentialID, hashes := gate.Credential.ID, a.candidates(&gate.Credential, t.Secret)
	at := &standing{a: a, gone: t.Gone}
	defer at.leave()
	tried := 0
	for ; tried < len(hashes) && found.proven.Zero(); tried++ {
		right, err := at.verify(ctx, credentialID, hashes[tried], t.Secret)
		switch {
		case errors.Is(err, ErrLost):
			found.lost = hashes[tried]
		case err != nil:
			return finding{}, a.undecided(ctx, err)
		case right:
			found.proven = hashes[tried]
		}
	}
	if known && !found.proven.Zero() && dead(gate, a.options.Now()) == "" {
		return found, nil
	}
	for _, decoy := range a.schemes.decoys(hashes[:tried]) {
		if _, err := at.verify(ctx, credentialID, decoy, t.Secret); err != nil && !errors.Is(err, ErrLost) {
			return finding{}, a.undecided(ctx, err)
		}
	}
	at.rest()
	return found, nil
}

// judge decides on what was found, secret first: a status is told to nobody who has not the secret.
func (a *Authenticator) judge(gate *store.Gate, known bool, found finding, secret string) error {
	if !known {
		return invalidClient(ReasonClientUnknown)
	}
	now, place := a.options.Now(), slotCurrent
	switch proven := found.proven; {
	case proven.Zero() && a.counts(gate, found.lost, now):
		return a.lost()
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
	a.renew(&gate.Credential, place, secret)
	return nil
}

// counts reports whether the hash is one that authenticates still. What a
// rotation or a revocation took away is gone from the row before it is gone
// elsewhere, and the row was read last: whatever counts and is not there is lost.
func (a *Authenticator) counts(gate *store.Gate, hash idp.SecretHash, now time.Time) bool {
	return !hash.Zero() && dead(gate, now) == "" && (hash == gate.Credential.Secret || hash == gate.Credential.OverlapSecret(now))
}
