package agentidp

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// Credential is what an agent authenticates with.
type Credential struct {
	CredentialID string           `json:"credentialId"`
	ClientID     string           `json:"clientId"`
	AgentID      string           `json:"agentId"`
	AuthMethod   AuthMethod       `json:"authMethod"`
	Status       CredentialStatus `json:"status"`
	CreatedAt    Time             `json:"createdAt"`
	ExpiresAt    *Time            `json:"expiresAt,omitempty"` // nil: never
	RevokedAt    *Time            `json:"revokedAt,omitempty"`
	LastUsedAt   *Time            `json:"lastUsedAt,omitempty"`

	// PreviousSecretExpiresAt is until when the secret before the last rotation works too; nil: it does not.
	PreviousSecretExpiresAt *Time `json:"previousSecretExpiresAt,omitempty"`
}

// CredentialWithSecret is a credential that was just made or rotated. The
// secret is never shown again.
type CredentialWithSecret struct {
	CredentialID string           `json:"credentialId"`
	ClientID     string           `json:"clientId"`
	ClientSecret string           `json:"clientSecret,omitempty"` // none with private_key_jwt
	AgentID      string           `json:"agentId"`
	AuthMethod   AuthMethod       `json:"authMethod"`
	Status       CredentialStatus `json:"status"`
	CreatedAt    Time             `json:"createdAt"`
	ExpiresAt    *Time            `json:"expiresAt,omitempty"`
	RevokedAt    *Time            `json:"revokedAt,omitempty"`
	LastUsedAt   *Time            `json:"lastUsedAt,omitempty"`

	// PreviousSecretExpiresAt is until when the old secret works too; nil: it does not.
	PreviousSecretExpiresAt *Time `json:"previousSecretExpiresAt,omitempty"`
}

// AuthMethod is how a client proves itself.
type AuthMethod string

// The methods.
const (
	AuthClientSecret  AuthMethod = "client_secret"
	AuthPrivateKeyJWT AuthMethod = "private_key_jwt"
)

// CredentialStatus is whether a credential is good.
type CredentialStatus string

// The statuses.
const (
	CredentialActive  CredentialStatus = "active"
	CredentialRevoked CredentialStatus = "revoked"
)

// NewCredential makes a credential.
type NewCredential struct {
	AuthMethod AuthMethod `json:"authMethod,omitempty"` // default: a secret
	ExpiresAt  *Time      `json:"expiresAt,omitempty"`  // nil: never
}

// Rotation is how a secret is replaced.
type Rotation struct {
	OverlapSeconds int64 `json:"overlapSeconds,omitempty"` // how long the old one stays good, up to 604800
	RevokeTokens   bool  `json:"-"`                        // kill the tokens issued to the credential too
}

// Overlap is a rotation that leaves the old secret good for so long, rounded up
// to whole seconds: half a second is not none.
func Overlap(d time.Duration) Rotation {
	seconds := int64(d / time.Second)
	if d%time.Second > 0 {
		seconds++
	}
	return Rotation{OverlapSeconds: seconds}
}

// Credentials lists an agent's credentials, revoked ones too.
func (c *Client) Credentials(ctx context.Context, agentID string) iter.Seq2[Credential, error] {
	return pages(ctx, func(ctx context.Context, page Page) (List[Credential], error) {
		return c.CredentialPage(ctx, agentID, page)
	})
}

// CredentialPage is one page of that list.
func (c *Client) CredentialPage(ctx context.Context, agentID string, page Page) (list List[Credential], err error) {
	err = c.do(ctx, get(agentPath(agentID)+"/credentials", page.into(url.Values{})), &list)
	return list, err
}

// CreateCredential makes a credential. A call whose answer was lost made one
// that nobody knows the secret of: it is in the list, to be revoked.
func (c *Client) CreateCredential(ctx context.Context, agentID string, credential NewCredential) (created CredentialWithSecret, err error) {
	err = c.do(ctx, post(agentPath(agentID)+"/credentials", credential), &created)
	return created, err
}

// RotateCredential replaces the secret; the client id stays. A rotation that was
// made, but whose answer was lost, is a *SecretLostError. After any other error
// that is no refusal it is not known whether it was made.
func (c *Client) RotateCredential(ctx context.Context, agentID, credentialID string, rotation Rotation) (rotated CredentialWithSecret, err error) {
	do := post(credentialPath(agentID, credentialID)+"/rotate", rotation)
	do.query = revokeTokens(url.Values{}, rotation.RevokeTokens)
	oldSecretUntil := time.Now().Add(time.Duration(rotation.OverlapSeconds) * time.Second)
	err = c.do(ctx, do, &rotated)
	return rotated, lostSecret(err, credentialID, oldSecretUntil)
}

// CredentialRevocation is how a credential ends.
type CredentialRevocation struct {
	Tokens bool   // kill the tokens issued to it too; else they live on
	Reason string // for the audit log; may be empty
}

// RevokeCredential is final.
func (c *Client) RevokeCredential(ctx context.Context, agentID, credentialID string, revocation CredentialRevocation) error {
	query := revokeTokens(set(url.Values{}, "reason", revocation.Reason), revocation.Tokens)
	return c.do(ctx, call{method: http.MethodDelete, path: credentialPath(agentID, credentialID), query: query, repeatable: true}, nil)
}

func revokeTokens(query url.Values, yes bool) url.Values {
	if yes {
		query.Set("revokeTokens", "true")
	}
	return query
}

func credentialPath(agentID, credentialID string) string {
	return agentPath(agentID) + "/credentials/" + segment(credentialID)
}
