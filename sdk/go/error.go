package agentidp

import (
	"fmt"
	"time"
)

// Error is the IdP's refusal of a token (RFC 6749 section 5.2).
type Error struct {
	Status      int    // HTTP status
	Code        string // "invalid_client", "unauthorized_client", …; empty when the answer was not an OAuth error
	Description string
	RequestID   string        // X-Request-Id, to find the refusal in the IdP's log
	RetryAfter  time.Duration // 0: the IdP named no time
}

// Error names status, code and request, never a secret.
func (e *Error) Error() string {
	text := fmt.Sprintf("agentidp: no token: status %d", e.Status)
	for _, part := range []struct{ name, value string }{{"", e.Code}, {"", e.Description}, {"request ", e.RequestID}} {
		if part.value != "" {
			text += ": " + part.name + part.value
		}
	}
	return text
}

// Temporary reports whether the same request may succeed later.
func (e *Error) Temporary() bool {
	return e.Status == 429 && e.Code != "quota_exceeded" || e.Status >= 500
}
