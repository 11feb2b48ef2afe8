package verify

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/sentryagent/agentidp/shared/capability"
)

const realm = `Bearer realm="agentidp"`

type contextKey struct{}

// FromContext is who sent the request that Middleware let through.
func FromContext(ctx context.Context) (Claims, bool) {
	claims, ok := ctx.Value(contextKey{}).(Claims)
	return claims, ok
}

// Middleware lets requests with a good token through to next, which finds its
// claims with FromContext. Others are answered 401, or 503 when the token cannot
// be judged now, with the reason in details.reason.
func (v *Verifier) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, given := bearer(r)
		if !given {
			refuse(w, http.StatusUnauthorized, "UNAUTHENTICATED", "token_missing", realm)
			return
		}
		claims, err := v.Verify(r.Context(), raw)
		var refused *Error
		var unavailable *Unavailable
		switch {
		case err == nil:
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), contextKey{}, claims)))
		case errors.As(err, &refused):
			refuse(w, http.StatusUnauthorized, "UNAUTHENTICATED", string(refused.Reason), realm+`, error="invalid_token"`)
		case errors.As(err, &unavailable):
			w.Header().Set("Retry-After", "1")
			refuse(w, http.StatusServiceUnavailable, "UNAVAILABLE", unavailable.Reason, "")
		default: // the caller left
			refuse(w, http.StatusServiceUnavailable, "UNAVAILABLE", "cancelled", "")
		}
	})
}

// Require lets requests through to next whose token, verified by Middleware, covers
// the capability, as "notes:read"; notes:* covers it too. Others are answered 403.
// It panics on a capability that is none.
func Require(demanded string, next http.Handler) http.Handler {
	wanted, err := capability.Parse(demanded)
	if err != nil {
		panic(err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, ok := FromContext(r.Context())
		held, err := capability.ParseScope(claims.Scope)
		if !ok || err != nil || !held.Covers(wanted) {
			refuse(w, http.StatusForbidden, "FORBIDDEN", "capability_missing", realm+`, error="insufficient_scope", scope="`+demanded+`"`)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// bearer is the one credential of the request (RFC 6750 section 2.1); two are none.
func bearer(r *http.Request) (string, bool) {
	values := r.Header.Values("Authorization")
	if len(values) != 1 {
		return "", false
	}
	scheme, raw, found := strings.Cut(values[0], " ")
	raw = strings.TrimLeft(raw, " ")
	return raw, found && raw != "" && strings.EqualFold(scheme, "Bearer")
}

// refuse answers as the house does. Nothing in it came from the caller.
func refuse(w http.ResponseWriter, status int, code, reason, challenge string) {
	if challenge != "" {
		w.Header().Set("WWW-Authenticate", challenge)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"code": code, "message": messages[status], "details": map[string]string{"reason": reason}}) // the caller left
}

var messages = map[int]string{
	http.StatusUnauthorized:       "a valid access token is required",
	http.StatusForbidden:          "the token does not carry the capability",
	http.StatusServiceUnavailable: "the token cannot be judged now",
}
