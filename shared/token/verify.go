package token

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// DefaultMaxLifetime is the longest exp-iat accepted when the Verifier names none.
const DefaultMaxLifetime = time.Hour

// Verifier decides whether a string is a good access token for one audience.
// Set the fields, then share it; it must not be copied or changed after the
// first Verify. Without Issuer, Audience and Keys it refuses to work.
type Verifier struct {
	Issuer      string // compared byte for byte
	Audience    string // must be aud, or a member of it
	Keys        Keys
	MaxLifetime time.Duration    // longest exp-iat; 0: DefaultMaxLifetime
	Leeway      time.Duration    // clock skew granted to exp, nbf and iat
	Now         func() time.Time // nil: time.Now
	// AllowForeign accepts tokens of an issuer that is not AgentIdP: org, rev and
	// client_id may be absent. Nothing else is relaxed.
	AllowForeign bool

	once     sync.Once
	headers  headers
	texts    texts
	rules    *jwt.Validator
	lifetime time.Duration
	broken   error
}

// Verify returns the claims of a good token, a *Error for a refused one, and
// any other error when it cannot decide: ctx ended, Keys cannot answer, the
// Verifier is not configured. Nothing of raw is kept. The claims' audience may be
// shared with those of other tokens: read only.
func (v *Verifier) Verify(ctx context.Context, raw string) (Claims, error) {
	v.once.Do(v.prepare)
	if err := errors.Join(v.broken, ctx.Err()); err != nil {
		return Claims{}, err
	}
	parts, err := split(raw, MaxLength)
	if err != nil {
		return Claims{}, err
	}
	kid, err := v.headers.judge(parts.header)
	if err != nil {
		return Claims{}, err
	}
	set := claimSets.Get().(*claimSet)
	defer claimSets.Put(set)
	set.forget()
	set.foreign, set.maxLifetime, set.KID = v.AllowForeign, v.lifetime, kid
	if err := set.read(parts.payload); err != nil {
		return Claims{}, err
	}
	key, err := find(v.Keys, kid)
	if err != nil {
		return Claims{}, err
	}
	if !parts.signedBy(key) {
		return Claims{}, &Error{Reason: BadSignature}
	}
	if err := v.rules.Validate(set); err != nil {
		return Claims{}, refusal(err)
	}
	v.headers.remember(parts.header, kid)
	return v.texts.kept(set.Claims), nil
}

func (v *Verifier) prepare() {
	if v.Issuer == "" || v.Audience == "" || v.Keys == nil || v.MaxLifetime < 0 || v.Leeway < 0 {
		v.broken = errors.New("token: the Verifier needs Issuer, Audience and Keys, and no negative duration")
		return
	}
	v.lifetime = v.MaxLifetime
	if v.lifetime == 0 {
		v.lifetime = DefaultMaxLifetime
	}
	now := v.Now
	if now == nil {
		now = time.Now
	}
	v.rules = jwt.NewValidator(
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(v.Leeway), jwt.WithTimeFunc(now),
		jwt.WithIssuer(v.Issuer), jwt.WithAudience(v.Audience),
	)
}

// find looks a key up and turns an unknown kid into a refusal.
func find(keys Keys, kid string) (*Key, error) {
	key, err := keys.Key(kid)
	if errors.Is(err, ErrUnknownKey) {
		return nil, &Error{Reason: UnknownKey, cause: err}
	}
	if err != nil {
		return nil, fmt.Errorf("token: key source: %w", err)
	}
	return key, nil
}

// Reasons by library error, the most telling first: several may hold at once.
var libraryReasons = []struct {
	err    error
	reason Reason
}{
	{jwt.ErrTokenInvalidIssuer, IssuerMismatch},
	{jwt.ErrTokenInvalidAudience, AudienceMismatch},
	{jwt.ErrTokenExpired, Expired},
	{jwt.ErrTokenNotValidYet, NotYetValid},
	{jwt.ErrTokenUsedBeforeIssued, NotYetValid},
}

// refusal turns the library's error into ours.
func refusal(err error) error {
	for _, known := range libraryReasons {
		if errors.Is(err, known.err) {
			return &Error{Reason: known.reason}
		}
	}
	var own *Error
	if errors.As(err, &own) {
		return own
	}
	return &Error{Reason: Malformed, cause: err}
}
