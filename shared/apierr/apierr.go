// Package apierr is the one error type that reaches a caller. Everything
// below the edge returns it; httpx renders it; nothing else chooses a status.
package apierr

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Code is the stable upper-case name of a refusal, part of the API contract.
type Code string

// Codes of the resource API.
const (
	ValidationFailed     Code = "VALIDATION_FAILED"
	Unauthenticated      Code = "UNAUTHENTICATED"
	Forbidden            Code = "FORBIDDEN"
	CapabilityCeiling    Code = "CAPABILITY_CEILING"
	FreeTierLimit        Code = "FREE_TIER_LIMIT_EXCEEDED"
	NotFound             Code = "NOT_FOUND"
	MethodNotAllowed     Code = "METHOD_NOT_ALLOWED"
	AgentAlreadyExists   Code = "AGENT_ALREADY_EXISTS"
	InvalidState         Code = "INVALID_STATE"
	LastAdministrator    Code = "LAST_ADMINISTRATOR"
	SequenceGap          Code = "SEQUENCE_GAP"
	RequestTimeout       Code = "REQUEST_TIMEOUT"
	PreconditionFailed   Code = "PRECONDITION_FAILED"
	PayloadTooLarge      Code = "PAYLOAD_TOO_LARGE"
	URITooLong           Code = "URI_TOO_LONG"
	UnsupportedMediaType Code = "UNSUPPORTED_MEDIA_TYPE"
	ExpectationFailed    Code = "EXPECTATION_FAILED"
	IdempotencyKeyReused Code = "IDEMPOTENCY_KEY_REUSED"
	RateLimited          Code = "RATE_LIMITED"
	HeaderTooLarge       Code = "HEADER_TOO_LARGE"
	Internal             Code = "INTERNAL"
	NotImplemented       Code = "NOT_IMPLEMENTED"
	BadGateway           Code = "BAD_GATEWAY"
	Overloaded           Code = "OVERLOADED"
	AuditUnavailable     Code = "AUDIT_UNAVAILABLE"
	StoreUnavailable     Code = "STORE_UNAVAILABLE"
	Unavailable          Code = "UNAVAILABLE"
	GatewayTimeout       Code = "GATEWAY_TIMEOUT"
)

// Codes of the OAuth endpoints; their wire name is the RFC's (RFC 6749 section 5.2, RFC 8707 section 2).
const (
	InvalidRequest          Code = "INVALID_REQUEST"
	InvalidClient           Code = "INVALID_CLIENT"
	InvalidScope            Code = "INVALID_SCOPE"
	InvalidTarget           Code = "INVALID_TARGET"
	UnauthorizedClient      Code = "UNAUTHORIZED_CLIENT"
	UnsupportedGrantType    Code = "UNSUPPORTED_GRANT_TYPE"
	UnsupportedResponseType Code = "UNSUPPORTED_RESPONSE_TYPE"
	QuotaExceeded           Code = "QUOTA_EXCEEDED"
)

type meaning struct {
	status int
	oauth  string
	level  slog.Level
}

// The one table from code to wire: HTTP status, OAuth error name, log level.
var meanings = map[Code]meaning{
	ValidationFailed:     {400, "invalid_request", slog.LevelInfo},
	Unauthenticated:      {401, "invalid_token", slog.LevelInfo},
	Forbidden:            {403, "insufficient_scope", slog.LevelInfo},
	CapabilityCeiling:    {403, "insufficient_scope", slog.LevelInfo},
	FreeTierLimit:        {403, "access_denied", slog.LevelInfo},
	NotFound:             {404, "invalid_request", slog.LevelInfo},
	MethodNotAllowed:     {405, "invalid_request", slog.LevelInfo},
	AgentAlreadyExists:   {409, "invalid_request", slog.LevelInfo},
	InvalidState:         {409, "invalid_request", slog.LevelInfo},
	LastAdministrator:    {409, "invalid_request", slog.LevelInfo},
	SequenceGap:          {409, "invalid_request", slog.LevelInfo},
	RequestTimeout:       {408, "invalid_request", slog.LevelInfo},
	PreconditionFailed:   {412, "invalid_request", slog.LevelInfo},
	PayloadTooLarge:      {413, "invalid_request", slog.LevelInfo},
	URITooLong:           {414, "invalid_request", slog.LevelInfo},
	UnsupportedMediaType: {400, "invalid_request", slog.LevelInfo},
	ExpectationFailed:    {417, "invalid_request", slog.LevelInfo},
	IdempotencyKeyReused: {422, "invalid_request", slog.LevelInfo},
	RateLimited:          {429, "rate_limited", slog.LevelInfo},
	HeaderTooLarge:       {431, "invalid_request", slog.LevelInfo},
	Internal:             {500, "server_error", slog.LevelError},
	NotImplemented:       {501, "invalid_request", slog.LevelInfo},
	BadGateway:           {502, "server_error", slog.LevelWarn},
	Overloaded:           {503, "temporarily_unavailable", slog.LevelWarn},
	AuditUnavailable:     {503, "temporarily_unavailable", slog.LevelError},
	StoreUnavailable:     {503, "temporarily_unavailable", slog.LevelError},
	Unavailable:          {503, "temporarily_unavailable", slog.LevelWarn},
	GatewayTimeout:       {504, "server_error", slog.LevelWarn},

	InvalidRequest:          {400, "invalid_request", slog.LevelInfo},
	InvalidClient:           {401, "invalid_client", slog.LevelInfo},
	InvalidScope:            {400, "invalid_scope", slog.LevelInfo},
	InvalidTarget:           {400, "invalid_target", slog.LevelInfo},
	UnauthorizedClient:      {400, "unauthorized_client", slog.LevelInfo},
	UnsupportedGrantType:    {400, "unsupported_grant_type", slog.LevelInfo},
	UnsupportedResponseType: {400, "unsupported_response_type", slog.LevelInfo},
	QuotaExceeded:           {429, "quota_exceeded", slog.LevelInfo},
}

// Status is the HTTP status of the code on the resource API; an unknown code is 500.
func (c Code) Status() int {
	if c == UnsupportedMediaType {
		return 415
	}
	if m, known := meanings[c]; known {
		return m.status
	}
	return meanings[Internal].status
}

// OAuthStatus is the HTTP status on an OAuth endpoint, where a wrong media
// type is a plain invalid_request (RFC 6749 section 5.2).
func (c Code) OAuthStatus() int {
	if m, known := meanings[c]; known {
		return m.status
	}
	return meanings[Internal].status
}

// OAuth is the value of "error" on an OAuth endpoint.
func (c Code) OAuth() string {
	if m, known := meanings[c]; known {
		return m.oauth
	}
	return meanings[Internal].oauth
}

// Level is how loudly a refusal with this code is logged.
func (c Code) Level() slog.Level {
	if m, known := meanings[c]; known {
		return m.level
	}
	return slog.LevelError
}

// Field says which member of the input broke which rule.
type Field struct {
	Field string `json:"field"` // path of the member: "capabilities[2]"
	Rule  string `json:"rule"`  // what it must be, in words
}

// Error is a refusal. Detail, Fields and Details are all that a caller sees;
// the cause is for our log only.
type Error struct {
	Code       Code
	Reason     string         // stable lower_snake reason for audit, logs and metrics; optional
	Detail     string         // one sentence for the caller
	Fields     []Field        // rendered as details.fields
	Details    map[string]any // further members of details
	RetryAfter time.Duration  // > 0 sets Retry-After, rounded up to whole seconds
	cause      error
}

// New makes a refusal with a formatted Detail.
func New(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Detail: fmt.Sprintf(format, args...)}
}

// Invalid makes a VALIDATION_FAILED that lists every broken field.
func Invalid(fields ...Field) *Error {
	return &Error{Code: ValidationFailed, Reason: "validation_failed", Detail: "the request breaks a rule", Fields: fields}
}

// WithReason sets the reason and returns e.
func (e *Error) WithReason(reason string) *Error { e.Reason = reason; return e }

// WithCause keeps the inner error for the log and returns e.
func (e *Error) WithCause(cause error) *Error { e.cause = cause; return e }

// WithRetryAfter sets Retry-After and returns e.
func (e *Error) WithRetryAfter(after time.Duration) *Error { e.RetryAfter = after; return e }

// WithDetail adds a member of details and returns e.
func (e *Error) WithDetail(name string, value any) *Error {
	if e.Details == nil {
		e.Details = map[string]any{}
	}
	e.Details[name] = value
	return e
}

// Error is for logs: it includes the cause, which callers must never see.
func (e *Error) Error() string {
	text := string(e.Code) + ": " + e.Detail
	for _, f := range e.Fields {
		text += fmt.Sprintf("; %s: %s", f.Field, f.Rule)
	}
	if e.cause != nil {
		text += ": " + e.cause.Error()
	}
	return text
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.cause }

// From finds the refusal in err's chain. Any other error becomes INTERNAL with err as its cause.
func From(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return New(Internal, "internal error").WithReason("internal").WithCause(err)
}

// Is reports whether err is a refusal with the code.
func Is(err error, code Code) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == code
}
