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

// AuthMethod is how the holder of a credential proves to be the client, in the
// names of RFC 7591 section 2 without the place of the secret.
type AuthMethod string

// The methods. A private_key_jwt credential has no secret: its holder signs
// assertions (RFC 7523) with a key of the agent.
const (
	MethodSecret     AuthMethod = "client_secret"
	MethodPrivateKey AuthMethod = "private_key_jwt"
)

// AuthMethods lists every method.
var AuthMethods = []AuthMethod{MethodSecret, MethodPrivateKey}

// CheckAuthMethod demands one of AuthMethods.
func CheckAuthMethod(m AuthMethod) []Rule { return oneOf("authMethod", m, AuthMethods) }

// SecretHash is a client secret at rest: the scheme that made it and its encoded form.
type SecretHash struct {
	Scheme  string // "bcrypt", "hmac-sha256" or "vault"
	Encoded string // whatever the scheme needs, never the secret
}

// Zero reports whether there is no secret.
func (h SecretHash) Zero() bool { return h.Scheme == "" }

// MaxOverlap is how long a rotated secret may stay good at most.
const MaxOverlap = 7 * 24 * time.Hour

// CheckExpiry demands a time that is still to come. Zero means never and is fine.
func CheckExpiry(expires, now time.Time) []Rule {
	if !expires.IsZero() && !expires.After(now) {
		return broken("expiresAt", "must be in the future")
	}
	return nil
}

// CheckOverlap demands 0 to MaxOverlap, in seconds.
func CheckOverlap(seconds int) []Rule {
	if seconds < 0 || seconds > int(MaxOverlap/time.Second) {
		return broken("overlapSeconds", "must be 0 to 604800")
	}
	return nil
}

// Credential lets one agent authenticate.
type Credential struct {
	ID             string // UUID
	ClientID       string // aidp_c_…, immutable, survives rotation
	AgentID        string
	OrganizationID string
	Status         CredentialStatus
	Method         AuthMethod
	Secret         SecretHash // zero unless Method is MethodSecret
	Previous       SecretHash // accepted until PreviousUntil after a rotation with overlap
	PreviousUntil  time.Time
	Version        int64 // raised by every change of a secret or the status; caches bind to it
	Epoch          int64
	CreatedAt      time.Time
	SecretSetAt    time.Time // creation or the last rotation: what the organization's MaxCredentialAge counts from
	ExpiresAt      time.Time // zero: never
	WarnedFor      time.Time // the end that the last credential.expiring event named
	RevokedAt      time.Time
	LastUsedAt     time.Time // written at most once a minute
}

// End is when the credential stops being good: its own expiry, or its secret's
// age under the organization's maxAge (0: none), whichever comes first. Zero: never.
func (c *Credential) End(maxAge time.Duration) time.Time {
	if maxAge == 0 || c.Method != MethodSecret {
		return c.ExpiresAt
	}
	aged := c.SecretSetAt.Add(maxAge)
	if c.ExpiresAt.IsZero() || aged.Before(c.ExpiresAt) {
		return aged
	}
	return c.ExpiresAt
}

// Usable reports whether the credential may authenticate at now in an
// organization with that MaxCredentialAge.
func (c *Credential) Usable(now time.Time, maxAge time.Duration) bool {
	end := c.End(maxAge)
	return c.Status == CredentialActive && (end.IsZero() || now.Before(end))
}

// OverlapSecret is the previous secret while it is still accepted at now, else zero.
func (c *Credential) OverlapSecret(now time.Time) SecretHash {
	if c.Previous.Zero() || !now.Before(c.PreviousUntil) {
		return SecretHash{}
	}
	return c.Previous
}

// OverlapEnd is until when the previous secret is accepted in an organization with
// that MaxCredentialAge: never beyond the credential's own end. Zero: it is not at now.
func (c *Credential) OverlapEnd(maxAge time.Duration, now time.Time) time.Time {
	if c.OverlapSecret(now).Zero() || !c.Usable(now, maxAge) {
		return time.Time{}
	}
	if end := c.End(maxAge); !end.IsZero() && end.Before(c.PreviousUntil) {
		return end
	}
	return c.PreviousUntil
}

// Rotate puts secret in the place of the current one, which stays good for
// overlap. A secret left over from an earlier rotation dies at once.
func (c *Credential) Rotate(secret SecretHash, overlap time.Duration, now time.Time) {
	c.Previous, c.PreviousUntil = SecretHash{}, time.Time{}
	if overlap > 0 {
		c.Previous, c.PreviousUntil = c.Secret, now.Add(overlap)
	}
	c.Secret, c.SecretSetAt = secret, now
}

// Revoke ends the credential for good. The secret's hash stays, so that
// authenticating with it costs what it costs for any other credential.
func (c *Credential) Revoke(now time.Time) {
	c.Status, c.RevokedAt = CredentialRevoked, now
	c.Previous, c.PreviousUntil = SecretHash{}, time.Time{}
}
