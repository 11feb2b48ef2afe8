package agentidp

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// DefaultOverlap is how long a rotated secret stays good unless said otherwise.
const DefaultOverlap = time.Hour

// RotateSecret replaces the secret of the source's credential. The old one stays
// good for overlap, up to 7 days (0: DefaultOverlap), so that no call fails that
// is under way here, or elsewhere with the old one. From then on this source, those
// made by For, and their management clients use the new one; tokens in use stay.
//
// store keeps the new credential for the next start, before the overlap ends. Its
// error is returned with the credential: the secret is in use already, and shown
// nowhere else. A *SecretLostError has changed nothing here: the source goes on
// with the old secret, for as long as the error says.
func (s *TokenSource) RotateSecret(ctx context.Context, overlap time.Duration, store func(context.Context, CredentialWithSecret) error) (CredentialWithSecret, error) {
	if s.config.PrivateKey != nil {
		return CredentialWithSecret{}, errors.New("agentidp: a credential with a private key has no secret to rotate")
	}
	if store == nil {
		return CredentialWithSecret{}, errors.New("agentidp: nobody would keep the new secret: store is nil")
	}
	if !s.secret.rotating.TryLock() {
		return CredentialWithSecret{}, errors.New("agentidp: a rotation is under way")
	}
	defer s.secret.rotating.Unlock()
	if overlap == 0 {
		overlap = DefaultOverlap
	}
	management := s.Management()
	credential, err := management.own(ctx, s.config.ClientID)
	if err != nil {
		return CredentialWithSecret{}, err
	}
	// From here on ctx ends nothing: the answer has the only copy of the secret.
	rotated, err := management.RotateCredential(context.WithoutCancel(ctx), credential.AgentID, credential.CredentialID, Overlap(overlap))
	if err != nil {
		return CredentialWithSecret{}, fmt.Errorf("agentidp: rotate the secret: %w", err)
	}
	s.secret.set(rotated.ClientSecret)
	if err := store(ctx, rotated); err != nil {
		return rotated, fmt.Errorf("agentidp: the new secret is in use, but not stored: %w", err)
	}
	return rotated, nil
}

// own finds the credential with the client id among the caller's own.
func (c *Client) own(ctx context.Context, clientID string) (Credential, error) {
	token, err := c.AccessToken(ctx)
	if err != nil {
		return Credential{}, err
	}
	self, err := c.Introspect(ctx, token)
	if err != nil {
		return Credential{}, fmt.Errorf("agentidp: who this is: %w", err)
	}
	for credential, err := range c.Credentials(ctx, self.Subject) {
		if err != nil {
			return Credential{}, fmt.Errorf("agentidp: own credentials: %w", err)
		}
		if credential.ClientID == clientID && credential.Status == CredentialActive {
			return credential, nil
		}
	}
	return Credential{}, fmt.Errorf("agentidp: the agent has no active credential %s", clientID)
}
