package token

import (
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// maxTime is 9999-12-31T23:59:59Z; beyond it is nonsense or an overflow attempt.
const maxTime = 253402300799

// Check reports whether the claims keep the rules on their form, as a *Error
// with claims_invalid: issuers call it before signing, the Verifier after.
// Time against the clock is not its business.
func (c *Claims) Check() error { return c.check(false) }

func (c *Claims) check(foreign bool) error {
	switch {
	case !reference(c.Issuer):
		return refuse(ClaimsInvalid, "iss")
	case !identity(c.Subject):
		return refuse(ClaimsInvalid, "sub")
	case !identity(c.JTI):
		return refuse(ClaimsInvalid, "jti")
	case !identity(c.ClientID) && (!foreign || c.ClientID != ""):
		return refuse(ClaimsInvalid, "client_id")
	case !identity(c.Organization) && (!foreign || c.Organization != ""):
		return refuse(ClaimsInvalid, "org")
	case !scope(c.Scope):
		return refuse(ClaimsInvalid, "scope")
	case len(c.Audience) == 0:
		return refuse(ClaimsInvalid, "aud")
	case !instant(c.IssuedAt):
		return refuse(ClaimsInvalid, "iat")
	case !instant(c.ExpiresAt):
		return refuse(ClaimsInvalid, "exp")
	case c.NotBefore != 0 && !instant(c.NotBefore):
		return refuse(ClaimsInvalid, "nbf")
	case min(c.Rev[0], c.Rev[1], c.Rev[2]) < 0:
		return refuse(ClaimsInvalid, "rev")
	case c.Status != Status{} && (c.Status.Index < 0 || !reference(c.Status.URI)):
		return refuse(ClaimsInvalid, "status")
	}
	for _, audience := range c.Audience {
		if !reference(audience) {
			return refuse(ClaimsInvalid, "aud")
		}
	}
	return nil
}

func instant(seconds int64) bool { return seconds > 0 && seconds <= maxTime }

func identity(s string) bool  { return s != "" && len(s) <= maxIdentity && printable(s) }
func reference(s string) bool { return s != "" && len(s) <= maxReference && printable(s) }

// printable keeps out control characters: these strings go into headers and logs.
func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || 0x7f <= r && r < 0xa0 })
}

// scope is empty or scope-tokens separated by single spaces (RFC 6749 section 3.3).
func scope(s string) bool {
	previous := byte(' ')
	for i := range len(s) {
		c := s[i]
		if c == ' ' && previous == ' ' || c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
		previous = c
	}
	return s == "" || previous != ' '
}

// claimSet is Claims on their way through the JWT library's validator, which
// checks what the getters say, then Validate. The library does not read them: it
// would take names in any case, the last of two, and null for a set of none.
type claimSet struct {
	Claims
	foreign     bool
	hasRev      bool
	maxLifetime time.Duration

	room          []byte // what the claims are decoded to, and their texts are parts of
	audience      [1]string
	exp, iat, nbf jwt.NumericDate
}

// claimSets keep the room.
var claimSets = sync.Pool{New: func() any { return &claimSet{room: make([]byte, 0, 1024)} }}

// forget makes s ready for another token.
func (s *claimSet) forget() { *s = claimSet{room: s.room[:0]} }

// read takes the claims by exact names and strict types. Unknown claims are
// ignored (RFC 7519 section 4). The texts are good until forget.
func (s *claimSet) read(segment string) error {
	data, ok := appendDecoded(s.room, segment)
	if !ok {
		return refuse(Malformed, "claims are not base64url")
	}
	s.room = data
	wrong := ""
	err := ReadObject(data, func(name, value []byte) {
		if !s.member(name, value) && wrong == "" {
			wrong = string(name)
		}
	})
	if err != nil {
		return &Error{Reason: Malformed, cause: err}
	}
	if wrong != "" {
		return refuse(ClaimsInvalid, wrong)
	}
	if !s.hasRev && !s.foreign {
		return refuse(ClaimsInvalid, "rev")
	}
	return s.check(s.foreign)
}

// member stores one claim; false when a known one has the wrong type.
func (s *claimSet) member(name, value []byte) (ok bool) {
	switch string(name) {
	case "iss":
		s.Issuer, ok = textIn(value)
	case "sub":
		s.Subject, ok = textIn(value)
	case "aud":
		ok = s.readAudience(value)
	case "client_id":
		s.ClientID, ok = textIn(value)
	case "scope":
		s.Scope, ok = textIn(value)
	case "jti":
		s.JTI, ok = textIn(value)
	case "org":
		s.Organization, ok = textIn(value)
	case "iat":
		s.IssuedAt, ok = integerOf(value)
	case "exp":
		s.ExpiresAt, ok = integerOf(value)
	case "nbf":
		s.NotBefore, ok = integerOf(value)
		ok = ok && s.NotBefore != 0
	case "rev":
		s.hasRev = true
		s.Rev, ok = revOf(value)
	case "status":
		if s.Status, ok = statusOf(value); !ok && s.foreign { // a claim of that name may mean something else there
			s.Status, ok = Status{}, true
		}
	default:
		return true
	}
	return ok
}

// textIn is stringOf without a copy: a part of value, unless that has escapes.
func textIn(value []byte) (string, bool) {
	r := reader{data: value}
	s, ok := r.text()
	return textOf(s), ok
}

func (s *claimSet) readAudience(value []byte) (ok bool) {
	if s.audience[0], ok = textIn(value); ok {
		s.Audience = s.audience[:]
		return true
	}
	s.Audience, ok = stringsOf(value)
	return ok
}

func revOf(value []byte) (rev [3]int64, ok bool) {
	n, good := 0, true
	array := readArray(value, func(element []byte) {
		epoch, ok := integerOf(element)
		if good = good && ok && n < len(rev); good {
			rev[n] = epoch
		}
		n++
	})
	return rev, array && good && n == len(rev)
}

// statusOf reads the status claim, in which other mechanisms than a list may stand.
func statusOf(value []byte) (status Status, ok bool) {
	ok = true
	object := ReadObject(value, func(name, value []byte) {
		if string(name) == "status_list" {
			status, ok = statusListOf(value)
		}
	}) == nil
	return status, object && ok
}

// statusListOf demands both members; others are for later versions.
func statusListOf(value []byte) (status Status, ok bool) {
	hasIndex, hasURI := false, false
	err := ReadObject(value, func(name, value []byte) {
		switch string(name) {
		case "idx":
			status.Index, hasIndex = integerOf(value)
		case "uri":
			status.URI, hasURI = textIn(value)
		}
	})
	return status, err == nil && hasIndex && hasURI && status.Index >= 0 && reference(status.URI)
}

// Validate adds to the library's checks the one it lacks.
func (s *claimSet) Validate() error {
	life := s.ExpiresAt - s.IssuedAt
	if life <= 0 || life > int64(s.maxLifetime/time.Second) {
		return &Error{Reason: Lifetime, cause: errors.New("exp is not after iat, or too long after")}
	}
	return nil
}

// The getters of jwt.Claims.

func (s *claimSet) GetExpirationTime() (*jwt.NumericDate, error) {
	return set(&s.exp, s.ExpiresAt), nil
}
func (s *claimSet) GetIssuedAt() (*jwt.NumericDate, error) { return set(&s.iat, s.IssuedAt), nil }
func (s *claimSet) GetNotBefore() (*jwt.NumericDate, error) {
	if s.NotBefore == 0 {
		return nil, nil //nolint:nilnil // how the library is told of an absent claim
	}
	return set(&s.nbf, s.NotBefore), nil
}
func (s *claimSet) GetIssuer() (string, error)             { return s.Issuer, nil }
func (s *claimSet) GetSubject() (string, error)            { return s.Subject, nil }
func (s *claimSet) GetAudience() (jwt.ClaimStrings, error) { return s.Audience, nil }

func set(date *jwt.NumericDate, seconds int64) *jwt.NumericDate {
	date.Time = time.Unix(seconds, 0)
	return date
}
