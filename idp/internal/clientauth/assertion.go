package clientauth

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/sentryagent/agentidp/idp/internal/store"
)

// AssertionType is the one client_assertion_type (RFC 7523 section 2.2).
const AssertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// Reasons of INVALID_CLIENT that assertions add: for the audit log alone.
const (
	ReasonMethodMismatch       = "auth_method_mismatch"  // an assertion for a credential with a secret
	ReasonAssertionMalformed   = "assertion_malformed"   // not a strict compact JWS with the claims it must have
	ReasonAssertionAlgorithm   = "assertion_algorithm"   // alg is none that is offered
	ReasonAssertionSubject     = "assertion_subject"     // iss and sub are not one client id
	ReasonAssertionAudience    = "assertion_audience"    // aud is not the issuer, and it alone
	ReasonAssertionExpired     = "assertion_expired"     // exp has passed, or iat is long ago
	ReasonAssertionNotYetValid = "assertion_not_yet"     // nbf or iat is still to come
	ReasonAssertionLifetime    = "assertion_lifetime"    // exp is too far ahead
	ReasonAssertionKeyUnknown  = "assertion_key_unknown" // the agent has no such key for that alg
	ReasonAssertionSignature   = "assertion_signature"
	ReasonAssertionReplayed    = "assertion_replayed"
	// It may have been used before the store was put back, which has forgotten it.
	ReasonAssertionBeforeRestore = "assertion_before_restore"

	reasonKeysUnavailable       = "keys_unavailable"
	reasonAssertionsNotOffered  = "unsupported_auth_method"
	reasonAuthenticationChanged = "gate_unstable"
)

// Bounds of an assertion, in bytes.
const (
	maxAssertion    = 8 << 10 // the whole, before anything is cut or decoded
	maxHeader       = 2 << 10 // the header, decoded
	maxAssertionID  = 128     // jti
	maxAssertionKID = 128
)

// Times of an assertion.
const (
	assertionLeeway  = 60 * time.Second  // between the client's clock and ours
	assertionLife    = 300 * time.Second // how far ahead exp may be, the leeway excepted
	assertionOldest  = 10 * time.Minute  // how long ago iat may be
	maxNumericDate   = 253402300799      // 9999-12-31T23:59:59Z
	signatureES256   = 64                // r and s (RFC 7518 section 3.4)
	minRSASignature  = 2048 / 8
	maxRSASignature  = 4096 / 8
	segmentSeparator = "."
)

// Assertion is a client assertion (RFC 7523 section 3) that is well formed.
// Nothing in it is proved.
type Assertion struct {
	ClientID string // iss and sub
	ID       string // jti
	Expires  time.Time

	audience  []string
	notBefore time.Time // zero: absent
	issuedAt  time.Time // zero: absent
	algorithm string    // one of Algorithms
	keyID     string    // "": absent
	signed    string    // what the signature is over
	signature []byte
}

// Use is what remembers that the assertion was accepted, for as long as any
// replica could accept it again, whatever its clock says within the leeway.
func (a *Assertion) Use() store.AssertionUse {
	return store.AssertionUse{JTI: a.ID, Expires: a.Expires.Add(2 * assertionLeeway)}
}

// ParseAssertion reads a client assertion: compact form of at most 8 KiB,
// canonical base64url, JSON without a member twice, an algorithm on offer, the
// claims that must be there in their types. The clock and the audience are not
// its business. Every error is an INVALID_CLIENT.
func ParseAssertion(raw string) (*Assertion, error) {
	if len(raw) > maxAssertion || strings.Count(raw, segmentSeparator) != 2 {
		return nil, invalidClient(ReasonAssertionMalformed)
	}
	end := strings.LastIndex(raw, segmentSeparator)
	header, payload, _ := strings.Cut(raw[:end], segmentSeparator)
	a := &Assertion{signed: raw[:end]}
	var ok bool
	if a.signature, ok = decodeSegment(raw[end+1:]); !ok {
		return nil, invalidClient(ReasonAssertionMalformed)
	}
	if reason := a.readHeader(header); reason != "" {
		return nil, invalidClient(reason)
	}
	if reason := a.readClaims(payload); reason != "" {
		return nil, invalidClient(reason)
	}
	return a, nil
}

// decodeSegment reads the one unpadded base64url spelling of some bytes. The
// decoder skips line breaks, so they are refused first.
func decodeSegment(segment string) ([]byte, bool) {
	if segment == "" || strings.ContainsAny(segment, "\r\n") {
		return nil, false
	}
	decoded, err := base64.RawURLEncoding.Strict().DecodeString(segment)
	return decoded, err == nil
}

// readHeader judges the protected header. A key that comes along (jwk, x5c) or
// lies behind an address (jku, x5u) is never looked at (RFC 8725 section 3.10);
// an extension that must be understood is not (RFC 7515 section 4.1.11).
func (a *Assertion) readHeader(segment string) (reason string) {
	decoded, ok := decodeSegment(segment)
	if !ok || len(decoded) > maxHeader {
		return ReasonAssertionMalformed
	}
	header, ok := members(decoded)
	if !ok || header.has("crit") || header.has("b64") || header.has("zip") {
		return ReasonAssertionMalformed
	}
	var right bool
	if a.algorithm, right = header.text("alg"); !right || !slices.Contains(algorithms, a.algorithm) {
		return ReasonAssertionAlgorithm
	}
	if kind, right := header.text("typ"); header.has("typ") && (!right || !assertionKind(kind)) {
		return ReasonAssertionMalformed
	}
	if a.keyID, right = header.text("kid"); header.has("kid") && (!right || a.keyID == "" || len(a.keyID) > maxAssertionKID) {
		return ReasonAssertionMalformed
	}
	if !signatureFits(a.algorithm, len(a.signature)) {
		return ReasonAssertionSignature
	}
	return ""
}

// assertionKind accepts what clients send, and no other kind of JWT.
func assertionKind(typ string) bool {
	switch strings.TrimPrefix(strings.ToLower(typ), "application/") {
	case "jwt", "client-authentication+jwt":
		return true
	}
	return false
}

// readClaims takes the claims by exact names and strict types; unknown ones
// are ignored (RFC 7519 section 4).
func (a *Assertion) readClaims(segment string) (reason string) {
	decoded, ok := decodeSegment(segment)
	if !ok {
		return ReasonAssertionMalformed
	}
	claims, ok := members(decoded)
	if !ok {
		return ReasonAssertionMalformed
	}
	issuer, hasIssuer := claims.text("iss")
	subject, hasSubject := claims.text("sub")
	id, hasID := claims.text("jti")
	audience, hasAudience := claims.texts("aud")
	if !hasIssuer || !hasSubject || !hasAudience || !hasID || !identifier(id) {
		return ReasonAssertionMalformed
	}
	if subject != issuer || subject == "" || len(subject) > maxClientID {
		return ReasonAssertionSubject
	}
	a.ClientID, a.ID, a.audience = subject, id, audience
	for _, date := range []struct {
		name     string
		target   *time.Time
		required bool
	}{{"exp", &a.Expires, true}, {"nbf", &a.notBefore, false}, {"iat", &a.issuedAt, false}} {
		if !date.required && !claims.has(date.name) {
			continue
		}
		if *date.target, ok = claims.date(date.name); !ok {
			return ReasonAssertionMalformed
		}
	}
	return ""
}

// identifier is a jti that every store can keep.
func identifier(id string) bool {
	return id != "" && len(id) <= maxAssertionID && !strings.ContainsFunc(id, func(r rune) bool { return r < ' ' || 0x7f <= r && r < 0xa0 })
}

// date is a NumericDate, which may have a fraction (RFC 7519 section 2).
func (o object) date(name string) (time.Time, bool) {
	var seconds float64
	if json.Unmarshal(o[name], &seconds) != nil || string(o[name]) == "null" || seconds < 1 || seconds > maxNumericDate {
		return time.Time{}, false
	}
	return time.Unix(int64(seconds), 0).UTC(), true
}
