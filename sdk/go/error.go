package agentidp

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"
)

// Error is the IdP's refusal of a request: of a token (RFC 6749 section 5.2) or
// of a management operation.
type Error struct {
	Status     int    // HTTP status
	Code       string // "NOT_FOUND", …, at the token endpoints "invalid_client", …; empty when the answer was not the IdP's
	Message    string // one sentence for people
	Details    Details
	RequestID  string        // X-Request-Id, to find the refusal in the IdP's log
	RetryAfter time.Duration // 0: the IdP named no time
}

// Details say more about a refusal; which are set depends on its code.
type Details struct {
	Fields       []FieldError `json:"fields,omitempty"`       // VALIDATION_FAILED
	Reason       string       `json:"reason,omitempty"`       // stable, lower_snake
	NextSequence *int64       `json:"nextSequence,omitempty"` // SEQUENCE_GAP
	CredentialID string       `json:"credentialId,omitempty"` // of a repeated request that made a secret before
}

// FieldError is a member of the request that breaks a rule.
type FieldError struct {
	Field string `json:"field"` // path, as "capabilities[0]"
	Rule  string `json:"rule"`  // what it must be
}

// The codes of management operations.
const (
	CodeValidationFailed      = "VALIDATION_FAILED"
	CodeUnauthenticated       = "UNAUTHENTICATED"
	CodeForbidden             = "FORBIDDEN"
	CodeCapabilityCeiling     = "CAPABILITY_CEILING"
	CodeFreeTierLimitExceeded = "FREE_TIER_LIMIT_EXCEEDED"
	CodeNotFound              = "NOT_FOUND"
	CodeMethodNotAllowed      = "METHOD_NOT_ALLOWED"
	CodeAgentAlreadyExists    = "AGENT_ALREADY_EXISTS"
	CodeInvalidState          = "INVALID_STATE"
	CodeLastAdministrator     = "LAST_ADMINISTRATOR"
	CodeSequenceGap           = "SEQUENCE_GAP"
	CodeRequestTimeout        = "REQUEST_TIMEOUT"
	CodePreconditionFailed    = "PRECONDITION_FAILED"
	CodePayloadTooLarge       = "PAYLOAD_TOO_LARGE"
	CodeURITooLong            = "URI_TOO_LONG"
	CodeUnsupportedMediaType  = "UNSUPPORTED_MEDIA_TYPE"
	CodeExpectationFailed     = "EXPECTATION_FAILED"
	CodeIdempotencyKeyReused  = "IDEMPOTENCY_KEY_REUSED"
	CodeRateLimited           = "RATE_LIMITED"
	CodeHeaderTooLarge        = "HEADER_TOO_LARGE"
	CodeInternal              = "INTERNAL"
	CodeNotImplemented        = "NOT_IMPLEMENTED"
	CodeOverloaded            = "OVERLOADED"
	CodeAuditUnavailable      = "AUDIT_UNAVAILABLE"
	CodeStoreUnavailable      = "STORE_UNAVAILABLE"
	CodeUnavailable           = "UNAVAILABLE"
)

// codeQuotaExceeded is the 429 of the token endpoint that no waiting mends before the next month.
const codeQuotaExceeded = "quota_exceeded"

// Error names status, code, message and request, never a secret.
func (e *Error) Error() string {
	text := fmt.Sprintf("agentidp: refused: status %d", e.Status)
	for _, part := range []struct{ name, value string }{{"", e.Code}, {"", e.Message}, {"", e.Details.Reason}, {"request ", e.RequestID}} {
		if part.value != "" {
			text += ": " + part.name + part.value
		}
	}
	for _, f := range e.Details.Fields {
		text += fmt.Sprintf("; %s %s", f.Field, f.Rule)
	}
	return text
}

// Temporary reports whether the same request may succeed later.
func (e *Error) Temporary() bool {
	return e.Status == http.StatusTooManyRequests && e.Code != codeQuotaExceeded || e.Status >= 500
}

// refusal reads the answer, whichever of the two forms it has.
func refusal(response *http.Response, body []byte) *Error {
	e := &Error{Status: response.StatusCode, RequestID: response.Header.Get("X-Request-Id")}
	e.RetryAfter = retryAfter(response.Header, time.Now())
	var answer struct {
		Code             string  `json:"code"`
		Message          string  `json:"message"`
		Details          Details `json:"details"`
		OAuthCode        string  `json:"error"`
		OAuthDescription string  `json:"error_description"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return e // of something in between: the status says it
	}
	e.Code, e.Message, e.Details = answer.Code, answer.Message, answer.Details
	if e.Code == "" {
		e.Code, e.Message = answer.OAuthCode, answer.OAuthDescription
	}
	return e
}

// maxSeconds are those that a time.Duration holds.
const maxSeconds = int64(math.MaxInt64 / time.Second)

// retryAfter is how long the header asks to wait (RFC 9110 section 10.2.3), 0
// when it does not. A date counts from the answer's own, so that clocks may differ.
func retryAfter(header http.Header, now time.Time) time.Duration {
	text := header.Get("Retry-After")
	if seconds, err := strconv.ParseInt(text, 10, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		return time.Duration(min(max(seconds, 0), maxSeconds)) * time.Second
	}
	until, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	if sent, err := http.ParseTime(header.Get("Date")); err == nil {
		now = sent
	}
	return max(until.Sub(now), 0)
}
