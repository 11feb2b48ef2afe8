package registry

import (
	"context"
	"net/http"
	"time"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/apierr"
)

// Rotation says how to rotate.
type Rotation struct {
	OverlapSeconds int // how long the old secret stays good; 0..604800
	RevokeTokens   bool
}

// RotateCredential gives a credential a new secret; the client id stays.
func (s *Service) RotateCredential(ctx context.Context, actor Actor, agentID, id string, in Rotation) (IssuedCredential, error) {
	now := s.now()
	if err := Invalid(idp.CheckOverlap(in.OverlapSeconds)); err != nil {
		return IssuedCredential{}, err
	}
	err := s.view(ctx, func(ctx context.Context, tx *store.Tx) error {
		_, err := actor.rotatable(ctx, tx, agentID, id, now)
		return err
	})
	if err != nil {
		return IssuedCredential{}, err
	}
	secret, hash, err := s.secret(ctx, id)
	if err != nil {
		return IssuedCredential{}, err
	}
	var rotated idp.Credential
	err = actor.Commit(ctx, s.log, func(ctx context.Context, tx *store.Tx) ([]idp.Event, error) {
		credential, err := actor.rotatable(ctx, tx, agentID, id, now)
		if err != nil {
			return nil, err
		}
		credential.Rotate(hash, time.Duration(in.OverlapSeconds)*time.Second, now)
		if in.RevokeTokens {
			if _, err := CutCredential(ctx, tx, &credential, reasonRotated, now); err != nil {
				return nil, err
			}
		}
		if err := tx.Credentials.Update(ctx, credential); err != nil {
			return nil, err
		}
		credential.Version++
		if rotated, err = ended(ctx, tx, credential, now); err != nil {
			return nil, err
		}
		event := actor.Event(idp.ActionCredentialRotated, credential.OrganizationID, credentialMetadata(&credential, map[string]any{
			"overlapSeconds": in.OverlapSeconds, "revokeTokens": in.RevokeTokens,
		}))
		return []idp.Event{event}, actor.Remember(ctx, tx, http.StatusOK, id, now)
	})
	if err != nil {
		return IssuedCredential{}, err
	}
	return IssuedCredential{Credential: rotated, ClientSecret: secret}, nil
}

// rotatable reads a credential that the actor may rotate now.
func (a *Actor) rotatable(ctx context.Context, tx *store.Tx, agentID, id string, now time.Time) (idp.Credential, error) {
	if err := a.replaySecret(ctx, tx, now); err != nil {
		return idp.Credential{}, err
	}
	if _, err := a.credentialHolder(ctx, tx, agentID); err != nil {
		return idp.Credential{}, err
	}
	credential, err := a.credential(ctx, tx, agentID, id)
	if err != nil {
		return idp.Credential{}, err
	}
	if credential.Method != idp.MethodSecret {
		return idp.Credential{}, noSecret()
	}
	// A secret that is too old by the organization's rule is what rotation is for.
	if !credential.Usable(now, 0) {
		return idp.Credential{}, apierr.New(apierr.InvalidState, "the credential is revoked or expired").WithReason("credential_not_live")
	}
	return credential, nil
}
