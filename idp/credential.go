package idp

import "time"

// CredentialStatus is a state of the credential's life; revoked is final.
// Expiry is not a status: it is ExpiresAt against the clock.
type CredentialStatus string

// The states.
const (
	CredentialActive  CredentialStatus = "active"
	CredentialRevoked CredentialStatus = "revoked"
)

// SecretHash is a client secret at rest: the scheme that made it and its encoded form.
type SecretHash struct {
	Scheme  string // "bcrypt"; "hmac-sha256" and "vault" come later
	Encoded string // whatever the scheme needs, never the secret
}

// Zero reports whether there is no secret.
func (h SecretHash) Zero() bool { return h.Scheme == "" }

// Credential lets one agent authenticate.
type Credential struct {
	ID             string // UUID
	ClientID       string // aidp_c_…, immutable, survives rotation
	AgentID        string
	OrganizationID string
	Status         CredentialStatus
	Secret         SecretHash
	Previous       SecretHash // accepted until PreviousUntil after a rotation with overlap
	PreviousUntil  time.Time
	Version        int64 // raised by every change of a secret or the status; caches bind to it
	Epoch          int64
	CreatedAt      time.Time
	ExpiresAt      time.Time // zero: never
	RevokedAt      time.Time
	LastUsedAt     time.Time // written at most once a minute
}

// Usable reports whether the credential may authenticate at now.
func (c *Credential) Usable(now time.Time) bool {
	return c.Status == CredentialActive && (c.ExpiresAt.IsZero() || now.Before(c.ExpiresAt))
}

// OverlapSecret is the previous secret while it is still accepted at now, else zero.
func (c *Credential) OverlapSecret(now time.Time) SecretHash {
	if c.Previous.Zero() || !now.Before(c.PreviousUntil) {
		return SecretHash{}
	}
	return c.Previous
}
