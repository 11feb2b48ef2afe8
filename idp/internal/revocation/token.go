package revocation

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/registry"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/shared/token"
)

// Caller asks about a token or wants it dead.
type Caller struct {
	registry.Actor
	// Organization lets the caller at every token of its organization, not only its own.
	Organization bool
}

func (c *Caller) owns(claims *token.Claims) bool {
	return claims.Organization == c.OrganizationID && (c.Organization || claims.Subject == c.AgentID)
}

// Introspection is the answer of RFC 7662 section 2.2. Inactive has no other member.
type Introspection struct {
	Active    bool     `json:"active"`
	Scope     string   `json:"scope,omitempty"`
	ClientID  string   `json:"client_id,omitempty"`
	TokenType string   `json:"token_type,omitempty"`
	ExpiresAt int64    `json:"exp,omitempty"`
	IssuedAt  int64    `json:"iat,omitempty"`
	NotBefore int64    `json:"nbf,omitempty"`
	Subject   string   `json:"sub,omitempty"`
	Audience  audience `json:"aud,omitempty"`
	Issuer    string   `json:"iss,omitempty"`
	JTI       string   `json:"jti,omitempty"`
	Org       string   `json:"org,omitempty"`
}

// audience is a string when there is one, else a list (RFC 7519 section 4.1.3).
type audience []string

// MarshalJSON writes what the token says.
func (a audience) MarshalJSON() ([]byte, error) {
	if len(a) == 1 {
		return json.Marshal(a[0])
	}
	return json.Marshal([]string(a))
}

// UnmarshalJSON reads both forms.
func (a *audience) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*a = audience{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(a))
}

// Introspect says what a live token of the caller means. A token that is dead,
// foreign or no token at all is inactive, and nothing tells which.
func (s *Service) Introspect(ctx context.Context, caller Caller, raw string) (Introspection, error) {
	claims, err := s.verify(ctx, raw, s.clock)
	if refused(err) {
		return Introspection{}, nil
	}
	if err != nil {
		return Introspection{}, err
	}
	if !caller.owns(&claims) || s.now().Unix() >= claims.ExpiresAt {
		return Introspection{}, nil
	}
	_, err = s.TokenLive(ctx, claims)
	if apierr.Is(err, apierr.Unauthenticated) {
		return Introspection{}, nil
	}
	if err != nil {
		return Introspection{}, err
	}
	return Introspection{
		Active: true, Scope: claims.Scope, ClientID: claims.ClientID, TokenType: "Bearer",
		ExpiresAt: claims.ExpiresAt, IssuedAt: claims.IssuedAt, NotBefore: claims.NotBefore,
		Subject: claims.Subject, Audience: claims.Audience, Issuer: claims.Issuer, JTI: claims.JTI, Org: claims.Organization,
	}, nil
}

// Revoke kills one token of the caller for good. A token that is dead already,
// or no token at all, is no error (RFC 7009 section 2.2); a foreign one is
// UNAUTHORIZED_CLIENT and lives on. A caller who was cut off meanwhile is UNAUTHENTICATED.
// The reason, which may be empty, goes to the audit log only.
func (s *Service) Revoke(ctx context.Context, caller Caller, raw, reason string) error {
	if rules := idp.CheckReason(reason); rules != nil {
		return apierr.New(apierr.InvalidRequest, "reason %s", rules[0].Text).WithReason("reason_malformed")
	}
	claims, err := s.verify(ctx, raw, s.notBefore(raw))
	if refused(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if !caller.owns(&claims) {
		return apierr.New(apierr.UnauthorizedClient, "the token was issued to another client").WithReason("token_foreign")
	}
	_, err = s.TokenLive(ctx, claims)
	if apierr.Is(err, apierr.Unauthenticated) {
		return nil
	}
	if err != nil {
		return err
	}
	now := s.now()
	return s.log.Commit(ctx, func(ctx context.Context, tx *store.Tx) ([]idp.Event, error) {
		again, err := tx.Revocations.RevokedToken(ctx, claims.JTI, "")
		if err != nil || again { // by the very token too: whoever asked first has killed it
			return nil, err
		}
		if _, err := caller.Live(ctx, tx); err != nil {
			return nil, err
		}
		_, err = tx.Revocations.Append(ctx, idp.Revocation{
			Type: idp.RevokeJTI, ID: claims.JTI, Expires: time.Unix(claims.ExpiresAt, 0).UTC(), Reason: "token_revoked", At: now,
		})
		return []idp.Event{caller.Event(idp.ActionTokenRevoked, claims.Organization, registry.Because(reason, map[string]any{
			"jti": claims.JTI, "targetAgentId": claims.Subject, "clientId": claims.ClientID,
		}))}, err
	})
}

// notBefore is the clock to judge a token by that is to be revoked: where it was
// issued in the future, because our clock was set back since, its own time. Not
// to revoke it now would let it live when the clock has caught up.
func (s *Service) notBefore(raw string) idp.Clock {
	return func() time.Time {
		now := s.clock()
		named, err := readUnverified(raw)
		if issued := time.Unix(named.IssuedAt, 0); err == nil && issued.After(now) {
			return issued
		}
		return now
	}
}

// verify checks a token of ours for whatever audience it names. The audience
// is read first and unverified, only to be demanded: the signature covers it.
func (s *Service) verify(ctx context.Context, raw string, now idp.Clock) (token.Claims, error) {
	named, err := readUnverified(raw)
	if err != nil {
		return token.Claims{}, err
	}
	verifier := token.Verifier{
		Issuer: s.issuer, Audience: named.Audience[0], Keys: s.keys, MaxLifetime: s.maxTTL, Leeway: s.leeway, Now: now,
	}
	return verifier.Verify(ctx, raw)
}

// unverified is what a token says before anything about it is proved.
type unverified struct {
	Audience audience `json:"aud"` // at least one, not empty
	IssuedAt int64    `json:"iat"`
}

func readUnverified(raw string) (claims unverified, err error) {
	refusal := &token.Error{Reason: token.Malformed}
	if len(raw) > token.MaxLength {
		return claims, refusal
	}
	_, rest, _ := strings.Cut(raw, ".")
	segment, _, _ := strings.Cut(rest, ".")
	payload, err := base64.RawURLEncoding.DecodeString(segment)
	if err != nil {
		return claims, refusal
	}
	if json.Unmarshal(payload, &claims) != nil || len(claims.Audience) == 0 || claims.Audience[0] == "" {
		return claims, refusal
	}
	return claims, nil
}

// refused reports whether the token itself is to blame.
func refused(err error) bool {
	var refusal *token.Error
	return errors.As(err, &refusal)
}
