package registry

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/clientauth"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/apierr"
)

// IssuedCredential is a credential with its secret, which is never shown again.
type IssuedCredential struct {
	idp.Credential
	ClientSecret string // empty: the credential has none
	Replayed     bool   // made by an earlier request with the same Idempotency-Key
}

// NewCredential is the body of POST /agents/{agentId}/credentials.
type NewCredential struct {
	Method    string    // one of idp.AuthMethods; empty: client_secret
	ExpiresAt time.Time // zero: never
}

// CreateCredential gives an agent another credential.
func (s *Service) CreateCredential(ctx context.Context, actor Actor, agentID string, in NewCredential) (IssuedCredential, error) {
	now := s.now()
	if in.Method == "" {
		in.Method = string(idp.MethodSecret)
	}
	if err := Invalid(idp.CheckAuthMethod(idp.AuthMethod(in.Method)), idp.CheckExpiry(in.ExpiresAt, now)); err != nil {
		return IssuedCredential{}, err
	}
	if in.Method == string(idp.MethodPrivateKey) {
		return s.createKeyed(ctx, actor, agentID, in, now)
	}
	// Asked twice: a refusal must not cost a hash, and only the second answer binds.
	var organizationID string
	err := s.view(ctx, func(ctx context.Context, tx *store.Tx) error {
		agent, err := s.creatable(ctx, tx, &actor, agentID, now)
		organizationID = agent.OrganizationID
		return err
	})
	if err != nil {
		return IssuedCredential{}, err
	}
	credential := newCredential(organizationID, agentID, idp.SecretHash{}, now)
	credential.ExpiresAt = idp.Time(in.ExpiresAt)
	secret, hash, err := s.secret(ctx, credential.ID)
	if err != nil {
		return IssuedCredential{}, err
	}
	credential.Secret = hash
	issued := IssuedCredential{ClientSecret: secret}
	err = actor.Commit(ctx, s.log, func(ctx context.Context, tx *store.Tx) ([]idp.Event, error) {
		if _, err := s.creatable(ctx, tx, &actor, agentID, now); err != nil {
			return nil, err
		}
		if err := tx.Credentials.Insert(ctx, credential); err != nil {
			return nil, err
		}
		if issued.Credential, err = ended(ctx, tx, credential, now); err != nil {
			return nil, err
		}
		return []idp.Event{createdCredential(&actor, &credential)}, actor.Remember(ctx, tx, http.StatusCreated, credential.ID, now)
	})
	if err != nil {
		return IssuedCredential{}, err
	}
	return issued, nil
}

// ended is the credential as callers are shown it (see showEnds).
func ended(ctx context.Context, tx *store.Tx, c idp.Credential, now time.Time) (idp.Credential, error) {
	organization, err := tx.Organizations.Get(ctx, c.OrganizationID)
	if err != nil {
		return idp.Credential{}, err
	}
	showEnds(&c, organization.MaxCredentialAge, now)
	return c, nil
}

// showEnds sets ExpiresAt to when the credential really ends, by its own expiry or
// its organization's MaxCredentialAge, and PreviousUntil to when its previous
// secret does, zero when that is over. What is shown so is never stored.
func showEnds(c *idp.Credential, maxAge time.Duration, now time.Time) {
	c.PreviousUntil = c.OverlapEnd(maxAge, now)
	c.ExpiresAt = c.End(maxAge)
}

// creatable reads an agent that the actor may give a credential now.
func (s *Service) creatable(ctx context.Context, tx *store.Tx, actor *Actor, agentID string, now time.Time) (idp.Agent, error) {
	if err := actor.replaySecret(ctx, tx, now); err != nil {
		return idp.Agent{}, err
	}
	agent, err := actor.credentialHolder(ctx, tx, agentID)
	if err != nil {
		return idp.Agent{}, err
	}
	return agent, s.roomForCredential(ctx, tx, agentID, now)
}

func newCredential(organizationID, agentID string, hash idp.SecretHash, now time.Time) idp.Credential {
	return idp.Credential{
		ID: uuid.NewString(), ClientID: clientauth.NewClientID(), AgentID: agentID, OrganizationID: organizationID,
		Status: idp.CredentialActive, Method: idp.MethodSecret, Secret: hash, Version: 1, CreatedAt: now, SecretSetAt: now,
	}
}

// credentialHolder reads the agent whose credentials the actor is about to touch.
func (a *Actor) credentialHolder(ctx context.Context, tx *store.Tx, agentID string) (idp.Agent, error) {
	agent, err := a.Agent(ctx, tx, agentID)
	if err != nil {
		return idp.Agent{}, err
	}
	if err := a.Ceiling(agent.Capabilities); err != nil {
		return idp.Agent{}, err
	}
	if agent.Status == idp.Decommissioned {
		return idp.Agent{}, apierr.New(apierr.InvalidState, "the agent is decommissioned").WithReason("agent_decommissioned")
	}
	return agent, nil
}

// roomForCredential holds the number of credentials that can authenticate against the limit.
func (s *Service) roomForCredential(ctx context.Context, tx *store.Tx, agentID string, now time.Time) error {
	live, err := tx.Credentials.Live(ctx, agentID)
	if err != nil {
		return err
	}
	usable := 0
	for _, c := range live {
		if c.Usable(now, 0) {
			usable++
		}
	}
	if limit := s.limits.Credentials; limit > 0 && usable >= limit {
		return apierr.New(apierr.InvalidState, "the agent has %d live credentials; revoke one first", usable).
			WithReason("credential_limit").WithDetail("limit", limit)
	}
	return nil
}

// credential reads one credential of an agent that exists for the actor.
func (a *Actor) credential(ctx context.Context, tx *store.Tx, agentID, id string) (idp.Credential, error) {
	credential, err := tx.Credentials.Get(ctx, agentID, id)
	if errors.Is(err, idp.ErrNotFound) {
		return idp.Credential{}, apierr.New(apierr.NotFound, "no such credential").WithReason("credential_not_found")
	}
	return credential, err
}

// ListCredentials returns one page of an agent's credentials, revoked ones too,
// and their number, each with its effective ends.
func (s *Service) ListCredentials(ctx context.Context, actor Actor, agentID string, page store.Page) (credentials []idp.Credential, total int, err error) {
	if err := Invalid(checkPage(page)); err != nil {
		return nil, 0, err
	}
	now := s.now()
	err = s.view(ctx, func(ctx context.Context, tx *store.Tx) error {
		agent, err := actor.Agent(ctx, tx, agentID)
		if err != nil {
			return err
		}
		organization, err := tx.Organizations.Get(ctx, agent.OrganizationID)
		if err != nil {
			return err
		}
		credentials, total, err = tx.Credentials.List(ctx, agentID, page)
		for i := range credentials {
			showEnds(&credentials[i], organization.MaxCredentialAge, now)
		}
		return err
	})
	return credentials, total, err
}

// GetCredential reads one credential with its effective ends.
func (s *Service) GetCredential(ctx context.Context, actor Actor, agentID, id string) (credential idp.Credential, err error) {
	err = s.view(ctx, func(ctx context.Context, tx *store.Tx) error {
		if _, err := actor.Agent(ctx, tx, agentID); err != nil {
			return err
		}
		if credential, err = actor.credential(ctx, tx, agentID, id); err != nil {
			return err
		}
		credential, err = ended(ctx, tx, credential, s.now())
		return err
	})
	return credential, err
}

// CredentialRevocation says how to end a credential.
type CredentialRevocation struct {
	Tokens bool   // its live tokens die too, else they live to their exp
	Reason string // for the audit log; may be empty
}

// RevokeCredential ends a credential for good. Doing it again is no error, and
// may still take the tokens.
func (s *Service) RevokeCredential(ctx context.Context, actor Actor, agentID, id string, in CredentialRevocation) error {
	if err := Invalid(idp.CheckReason(in.Reason)); err != nil {
		return err
	}
	now := s.now()
	var ended idp.Credential
	err := actor.Commit(ctx, s.log, func(ctx context.Context, tx *store.Tx) ([]idp.Event, error) {
		agent, err := actor.Agent(ctx, tx, agentID)
		if err != nil {
			return nil, err
		}
		if err := actor.Ceiling(agent.Capabilities); err != nil {
			return nil, err
		}
		credential, err := actor.credential(ctx, tx, agentID, id)
		if err != nil {
			return nil, err
		}
		if credential.Status == idp.CredentialRevoked && (!in.Tokens || agent.Status == idp.Decommissioned) {
			return nil, nil
		}
		if err := revokeCredential(ctx, tx, &credential, in.Tokens, reasonRevoked, now); err != nil {
			return nil, err
		}
		ended = credential
		return []idp.Event{revokedCredential(&actor, &credential, in)}, nil
	})
	if err != nil {
		return err
	}
	s.forget(ctx, ended)
	return nil
}

func revokeCredential(ctx context.Context, tx *store.Tx, c *idp.Credential, revokeTokens bool, reason string, now time.Time) error {
	if c.Status != idp.CredentialRevoked {
		c.Revoke(now)
	}
	if revokeTokens {
		if _, err := CutCredential(ctx, tx, c, reason, now); err != nil {
			return err
		}
	}
	return tx.Credentials.Update(ctx, *c)
}

func createdCredential(actor *Actor, c *idp.Credential) idp.Event {
	more := map[string]any{"authMethod": string(c.Method)}
	if !c.ExpiresAt.IsZero() {
		more["expiresAt"] = c.ExpiresAt.Format(idp.TimeLayout)
	}
	return actor.Event(idp.ActionCredentialCreated, c.OrganizationID, credentialMetadata(c, more))
}

func revokedCredential(actor *Actor, c *idp.Credential, in CredentialRevocation) idp.Event {
	return actor.Event(idp.ActionCredentialRevoked, c.OrganizationID, credentialMetadata(c, Because(in.Reason, map[string]any{"revokeTokens": in.Tokens})))
}

// credentialMetadata names the credential in more, never its secret.
func credentialMetadata(c *idp.Credential, more map[string]any) map[string]any {
	more["targetAgentId"], more["credentialId"], more["clientId"] = c.AgentID, c.ID, c.ClientID
	return more
}
