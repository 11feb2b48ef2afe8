package registry

import (
	"bytes"
	"context"
	"net/http"
	"time"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/clientauth"
	"github.com/sentryagent/agentidp/idp/internal/jwksfetch"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/apierr"
)

// An agent may have keys of its own, as a set or at an address, for its
// private_key_jwt credentials (RFC 7523). Other keys are what another secret is
// to the other credentials: who may set them must be above the agent, and no
// token is admitted on a proof by keys that were replaced. Tokens that were
// issued live on to their exp, as after a rotation.

// applyKeys sets the keys that the patch names.
func (p *AgentPatch) applyKeys(a *idp.Agent, allowHTTP bool) (all []idp.Rule) {
	if p.JWKS != nil {
		a.JWKS, all = clientauth.CanonicalKeys(p.JWKS)
	}
	if p.JWKSURI != nil {
		if a.JWKSURI = *p.JWKSURI; a.JWKSURI != "" {
			all = append(all, jwksfetch.CheckURI(a.JWKSURI, allowHTTP)...)
		}
	}
	if a.JWKS != nil && a.JWKSURI != "" {
		all = append(all, idp.Rule{Field: "jwks", Text: "cannot be set together with jwksUri; clear one with null"})
	}
	return all
}

// keyMembers names what of the keys is not the same.
func keyMembers(before, next *idp.Agent) (members []string) {
	if !bytes.Equal(before.JWKS, next.JWKS) {
		members = append(members, "jwks")
	}
	if before.JWKSURI != next.JWKSURI {
		members = append(members, "jwksUri")
	}
	return members
}

func hasKeys(a *idp.Agent) bool { return a.JWKS != nil || a.JWKSURI != "" }

// rekey raises the version of every credential that the agent's keys prove, so
// that no admission passes on a proof by the old ones.
func rekey(ctx context.Context, tx *store.Tx, agentID string) error {
	live, err := tx.Credentials.Live(ctx, agentID)
	if err != nil {
		return err
	}
	for _, c := range live {
		if c.Method != idp.MethodPrivateKey {
			continue
		}
		if err := tx.Credentials.Update(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// createKeyed gives an agent a credential without a secret: there is nothing to
// show once, so a repeated POST is answered like the first.
func (s *Service) createKeyed(ctx context.Context, actor Actor, agentID string, in NewCredential, now time.Time) (IssuedCredential, error) {
	var issued IssuedCredential
	fresh := newCredential("", agentID, idp.SecretHash{}, now)
	fresh.Method, fresh.ExpiresAt = idp.MethodPrivateKey, idp.Time(in.ExpiresAt)
	err := actor.Commit(ctx, s.log, func(ctx context.Context, tx *store.Tx) ([]idp.Event, error) {
		earlier, err := actor.Replayed(ctx, tx, now)
		if err != nil {
			return nil, err
		}
		agent, err := actor.credentialHolder(ctx, tx, agentID)
		if err != nil {
			return nil, err
		}
		if earlier != "" {
			issued.Replayed = true
			issued.Credential, err = actor.credential(ctx, tx, agentID, earlier)
			return nil, err
		}
		if !hasKeys(&agent) {
			return nil, apierr.New(apierr.InvalidState, "the agent has neither jwks nor jwksUri; set one first").WithReason("keys_missing")
		}
		if err := s.roomForCredential(ctx, tx, agentID, now); err != nil {
			return nil, err
		}
		fresh.OrganizationID = agent.OrganizationID
		issued = IssuedCredential{Credential: fresh}
		if err := tx.Credentials.Insert(ctx, fresh); err != nil {
			return nil, err
		}
		return []idp.Event{createdCredential(&actor, &fresh)}, actor.Remember(ctx, tx, http.StatusCreated, fresh.ID, now)
	})
	if err != nil {
		return IssuedCredential{}, err
	}
	return issued, nil
}

// noSecret refuses to rotate what has nothing to rotate.
func noSecret() error {
	return apierr.New(apierr.InvalidState, "the credential has no secret; its keys are the agent's jwks or jwksUri").WithReason("no_secret")
}
