// Package verify is for APIs without a sidecar: it verifies the access tokens of
// AgentIdP by the sidecar's rules, with the sidecar's code.
//
//	verifier, err := verify.New(verify.Options{Issuer: "https://idp.example.com", Audience: "https://notes.example.com"})
//	http.ListenAndServe(":8080", verifier.Middleware(verify.Require("notes:read", notes)))
package verify

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sentryagent/agentidp/shared/token"
)

// Claims are what a verified token says.
type Claims = token.Claims

// Error is a refusal: the token is bad, and its caller is to be answered 401.
type Error = token.Error

// Reason is why a token is refused: stable, lower_snake, safe for callers.
type Reason = token.Reason

// TokenRevoked is the reason that a revocation check adds to those of the sidecar.
const TokenRevoked Reason = "token_revoked"

// Unavailable says that a token can be neither accepted nor refused now, which
// is to be answered 503.
type Unavailable struct {
	Reason string // keys_stale or revocations_stale
	cause  error  // for its text alone: it may be an Error, of a document that is no token
}

// The reasons of Unavailable.
const (
	KeysStale        = "keys_stale"        // no key set that may be trusted
	RevocationsStale = "revocations_stale" // not known whether the token is revoked
)

// Error is for logs.
func (e *Unavailable) Error() string {
	text := "token not judged: " + e.Reason
	if e.cause != nil {
		text += ": " + e.cause.Error()
	}
	return text
}

// Revocations says whether a verified token was revoked: nil when not, an *Error
// with TokenRevoked, or an *Unavailable.
type Revocations interface {
	Check(ctx context.Context, raw string, claims *Claims) error
}

// DefaultLeeway is granted to clocks that differ.
const DefaultLeeway = 5 * time.Second

// Options of a Verifier. Issuer and Audience are required.
type Options struct {
	Issuer   string // URL of the IdP, compared byte for byte
	Audience string // the resource that this API is: tokens must name it
	JWKSURL  string // default: /.well-known/jwks.json of the issuer
	// Revocation makes the check of revocations; nil: tokens are good until they expire.
	Revocation func(*Verifier) Revocations
	HTTPClient *http.Client     // fetches keys and lists; nil: http.DefaultTransport. Redirects are never followed
	Now        func() time.Time // nil: time.Now
}

// Verifier verifies tokens. It is safe for concurrent use.
type Verifier struct {
	issuer      string
	client      *http.Client
	now         func() time.Time
	keys        *keys
	rules       *token.Verifier
	revocations Revocations // nil: none
}

// New makes a Verifier. It fetches nothing yet.
func New(o Options) (*Verifier, error) {
	issuer, err := url.Parse(o.Issuer)
	if err != nil || issuer.Host == "" || issuer.Scheme != "https" && issuer.Scheme != "http" {
		return nil, errors.New("verify: Issuer must be an absolute http(s) address")
	}
	if o.Audience == "" {
		return nil, errors.New("verify: Audience is missing: which tokens are for this API")
	}
	if o.JWKSURL == "" {
		o.JWKSURL = strings.TrimSuffix(o.Issuer, "/") + "/.well-known/jwks.json"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	v := &Verifier{issuer: o.Issuer, client: &http.Client{CheckRedirect: noRedirect}, now: o.Now}
	if o.HTTPClient != nil {
		v.client.Transport = o.HTTPClient.Transport
	}
	v.keys = &keys{client: v.client, address: o.JWKSURL, now: o.Now, jitter: spread(refreshEvery)}
	v.rules = &token.Verifier{Issuer: o.Issuer, Audience: o.Audience, Keys: v.keys, Leeway: DefaultLeeway, Now: o.Now}
	if o.Revocation != nil {
		v.revocations = o.Revocation(v)
	}
	return v, nil
}

// Verify returns the claims of a good token, an *Error for a refused one, an
// *Unavailable when it cannot be judged now, or the error of ctx.
func (v *Verifier) Verify(ctx context.Context, raw string) (Claims, error) {
	claims, err := v.rules.Verify(ctx, raw)
	if keyMissing(err) {
		if kid, headerErr := token.KeyID(raw); headerErr == nil {
			v.keys.await(ctx, kid)
			claims, err = v.rules.Verify(ctx, raw)
		}
	}
	if errors.Is(err, errNoKeys) {
		err = &Unavailable{Reason: KeysStale, cause: err}
	}
	if err == nil && v.revocations != nil {
		err = v.revocations.Check(ctx, raw, &claims)
	}
	if err != nil {
		return Claims{}, err
	}
	claims.Audience = slices.Clone(claims.Audience) // that of other tokens too, until here
	return claims, nil
}

// keyMissing reports whether a fetch of the key set may change the judgement.
func keyMissing(err error) bool {
	var refused *Error
	return errors.Is(err, errNoKeys) || errors.As(err, &refused) && refused.Reason == token.UnknownKey
}

// noRedirect keeps to the addresses that the configuration names.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
