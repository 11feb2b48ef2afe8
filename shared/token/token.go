// Package token verifies the access tokens (RFC 9068) that AgentIdP issues and
// guards, and reads the key sets (RFC 7517) they are verified with. Only RS256,
// only the compact form, only canonical base64url: one token has one spelling.
package token

import "errors"

// Type is the "typ" of an access token (RFC 9068 section 2.1); with the prefix
// "application/" it is accepted too.
const Type = "at+jwt"

// Algorithm is the only signature algorithm.
const Algorithm = "RS256"

// Bounds on what is looked at. All are bytes.
const (
	MaxLength    = 8 << 10 // a whole token, checked before anything else
	MaxKeyID     = 128
	maxHeader    = 2 << 10 // the header, decoded
	maxIdentity  = 256     // sub, client_id, jti, org
	maxReference = 2 << 10 // iss and each member of aud
)

// Claims are what a verified token says. Times are Unix seconds.
type Claims struct {
	Issuer       string
	Subject      string // agentId
	Audience     []string
	ClientID     string
	Scope        string // RFC 6749 section 3.3; may be empty
	IssuedAt     int64
	ExpiresAt    int64
	NotBefore    int64 // 0: absent
	JTI          string
	Organization string
	Rev          [3]int64 // revocation epochs of organization, agent, credential
	Status       Status
	KID          string // of the header: the key that verified it
}

// Status is where a relying party looks a token up in a Token Status List
// (draft-ietf-oauth-status-list section 6). The zero value: nowhere.
type Status struct {
	URI   string // of the list
	Index int64  // in the list
}

// Reason is why a token is refused: stable, lower_snake, safe for callers.
type Reason string

// The reasons.
const (
	Malformed        Reason = "malformed"         // not three canonical segments of strict JSON, or no usable kid
	Oversize         Reason = "oversize"          // longer than the bound, not looked at
	BadAlgorithm     Reason = "algorithm"         // anything but RS256
	CriticalHeader   Reason = "critical_header"   // crit, b64, or a key sent along
	TypeMismatch     Reason = "type_mismatch"     // another kind of JWT
	UnknownKey       Reason = "unknown_key"       // no such kid in the key set
	BadSignature     Reason = "signature"         // told before anything about the claims' values
	IssuerMismatch   Reason = "issuer_mismatch"   //
	AudienceMismatch Reason = "audience_mismatch" //
	Expired          Reason = "expired"           //
	NotYetValid      Reason = "not_yet_valid"     // nbf or iat in the future
	Lifetime         Reason = "lifetime"          // exp is not after iat, or too long after
	ClaimsInvalid    Reason = "claims_invalid"    // a claim is missing, of the wrong type or out of bounds
)

// Error is a refusal. Its text never contains a part of the token.
type Error struct {
	Reason Reason
	cause  error
}

// Error is for logs.
func (e *Error) Error() string {
	if e.cause == nil {
		return "token refused: " + string(e.Reason)
	}
	return "token refused: " + string(e.Reason) + ": " + e.cause.Error()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.cause }

func refuse(reason Reason, cause string) error {
	return &Error{Reason: reason, cause: errors.New(cause)}
}

// ErrUnknownKey is what Keys answers for a kid it does not have.
var ErrUnknownKey = errors.New("unknown key")

// Keys finds verification keys. It is safe for concurrent use.
type Keys interface {
	// Key returns the key with exactly this kid. ErrUnknownKey makes the token
	// refused as unknown_key; any other error says that the source cannot answer
	// now and reaches the caller of Verify as it is, not as an Error. The kid is
	// attacker-chosen: an opaque string of 1 to MaxKeyID bytes.
	Key(kid string) (*Key, error)
}
