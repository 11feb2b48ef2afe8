package proxy

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/shared/decision"
	"github.com/sentryagent/agentidp/shared/token"
	"github.com/sentryagent/agentidp/sidecar/internal/route"
	"github.com/sentryagent/agentidp/sidecar/internal/websocket"
)

// ErrorHeader marks answers that the sidecar made itself; its value is the
// reason. It is removed from what the upstream answers.
const ErrorHeader = "X-AgentIdP-Error"

const realm = `Bearer realm="agentidp"`

// refusal is the answer to a request that is not served. The proxy's own ones
// are shared values: copy before changing.
type refusal struct {
	check      string // which stop refused, for the counter
	status     int
	reason     string
	message    string
	retryAfter time.Duration
	allow      string    // of 405
	challenge  string    // WWW-Authenticate, RFC 6750 section 3
	rate       [2]string // RateLimit-Policy and RateLimit of 429
	rpcCode    int       // of a JSON-RPC error, which the body then is; 0: it is ours
	rpcID      string    // of the message, as JSON
	document   []byte    // of a 200: it is no refusal, but an answer of ours
}

// Stops, as the counter of refusals names them.
const (
	atGuard        = "guard"
	atRoute        = "route"
	atGate         = "gate"
	atCredential   = "credential"
	atToken        = "token"
	atOrganization = "organization"
	atRevocation   = "revocation"
	atRate         = "rate"
	atPolicy       = "policy"
	atAudit        = "audit"
	atBody         = "body"
	atUpstream     = "upstream"
	atServer       = "server"
	atClient       = "client"
	atRPC          = "rpc"
)

const (
	tokenNeeded  = "a valid access token is required"
	notAllowed   = "the token does not allow this request"
	tryLater     = "the request cannot be decided now"
	malformed    = "the request is malformed or ambiguous"
	noAnswer     = "the upstream did not answer properly"
	bodyTooLarge = "the request body is too large"
)

var (
	pathAmbiguous       = &refusal{check: atRoute, status: 400, reason: "path_ambiguous", message: malformed}
	noRoute             = &refusal{check: atRoute, status: 403, reason: "no_route", message: "no route for this request", challenge: realm + `, error="insufficient_scope"`}
	overloaded          = &refusal{check: atGate, status: 503, reason: "overloaded", message: tryLater, retryAfter: time.Second}
	tokenMissing        = &refusal{check: atCredential, status: 401, reason: "token_missing", message: tokenNeeded, challenge: realm}
	tokenScheme         = &refusal{check: atCredential, status: 401, reason: "scheme_unsupported", message: tokenNeeded, challenge: realm}
	tokenAmbiguous      = &refusal{check: atCredential, status: 400, reason: "credential_ambiguous", message: malformed, challenge: realm + `, error="invalid_request"`}
	organizationOut     = &refusal{check: atOrganization, status: 403, reason: "organization_not_allowed", message: notAllowed, challenge: realm + `, error="insufficient_scope"`}
	revocationsOld      = &refusal{check: atRevocation, status: 503, reason: "revocations_stale", message: tryLater, retryAfter: 5 * time.Second}
	auditFull           = &refusal{check: atAudit, status: 503, reason: "audit_unavailable", message: tryLater, retryAfter: 5 * time.Second}
	bodyLarge           = &refusal{check: atBody, status: 413, reason: "body_too_large", message: bodyTooLarge}
	bodyMalformed       = &refusal{check: atBody, status: 400, reason: "body_malformed", message: malformed}
	bodyTimeout         = &refusal{check: atBody, status: 408, reason: "body_timeout", message: "the request body took too long to arrive"}
	bodyIncomplete      = &refusal{check: atBody, status: 400, reason: "body_incomplete", message: malformed}
	internalError       = &refusal{check: atServer, status: 500, reason: "internal", message: "internal error"}
	upstreamDown        = &refusal{check: atUpstream, status: 502, reason: "upstream_unreachable", message: noAnswer}
	upstreamClosed      = &refusal{check: atUpstream, status: 502, reason: "upstream_closed", message: noAnswer}
	upstreamBad         = &refusal{check: atUpstream, status: 502, reason: "upstream_invalid", message: noAnswer}
	upstreamSilent      = &refusal{check: atUpstream, status: 504, reason: "upstream_timeout", message: noAnswer}
	upstreamBusy        = &refusal{check: atUpstream, status: 503, reason: "upstream_busy", message: tryLater, retryAfter: time.Second}
	upstreamUnavailable = &refusal{check: atUpstream, status: 503, reason: "upstream_unavailable", message: tryLater, retryAfter: time.Second}
	upstreamUpgrade     = &refusal{check: atUpstream, status: 502, reason: "upstream_upgrade", message: noAnswer}
)

func invalidToken(check, reason string) *refusal {
	return &refusal{check: check, status: 401, reason: reason, message: tokenNeeded,
		challenge: realm + `, error="invalid_token", error_description="the access token is not usable"`}
}

func insufficient(check, reason, capability string) *refusal {
	return &refusal{check: check, status: 403, reason: reason, message: notAllowed,
		challenge: realm + `, error="insufficient_scope", scope="` + capability + `"`}
}

// limited is a 429 with the fields of the IETF draft ratelimit-headers: the
// limit, what is left of it, and seconds until it is whole.
func limited(rate route.Rate, v verdict) *refusal {
	return &refusal{
		check: atRate, status: http.StatusTooManyRequests, reason: "rate_limited", message: "too many requests", retryAfter: v.wait,
		rate: [2]string{
			`"route";q=` + strconv.Itoa(rate.Requests) + ";w=" + seconds(rate.Per),
			`"route";r=0;t=` + seconds(v.reset),
		},
	}
}

// seconds are rounded up.
func seconds(d time.Duration) string { return strconv.Itoa(int((d + time.Second - 1) / time.Second)) }

// refused turns a collaborator's error into an answer.
func refused(check string, err error) *refusal {
	var bad *token.Error
	if errors.As(err, &bad) {
		return invalidToken(check, string(bad.Reason))
	}
	var e *apierr.Error
	if !errors.As(err, &e) {
		return &refusal{check: check, status: 503, reason: "unavailable", message: tryLater, retryAfter: time.Second}
	}
	r := &refusal{check: check, status: e.Code.Status(), reason: or(e.Reason, "unavailable"), message: tryLater, retryAfter: e.RetryAfter}
	switch r.status {
	case 401:
		return invalidToken(check, r.reason)
	case 503:
		r.retryAfter = or(r.retryAfter, time.Second)
	}
	return r
}

// outcome of the decision record.
func (r *refusal) outcome() decision.Outcome {
	if r.status >= 500 {
		return decision.Error
	}
	return decision.Denied
}

var codes = map[int]apierr.Code{
	400: apierr.ValidationFailed, 401: apierr.Unauthenticated, 403: apierr.Forbidden, 405: apierr.MethodNotAllowed,
	408: apierr.RequestTimeout, 413: apierr.PayloadTooLarge, 414: apierr.URITooLong, 415: apierr.UnsupportedMediaType, 417: apierr.ExpectationFailed,
	429: apierr.RateLimited, 431: apierr.HeaderTooLarge, 500: apierr.Internal, 502: apierr.BadGateway,
	503: apierr.Unavailable, 504: apierr.GatewayTimeout, 505: "HTTP_VERSION_NOT_SUPPORTED",
	426: "UPGRADE_REQUIRED",
}

func (r *refusal) code() apierr.Code {
	switch r.reason {
	case overloaded.reason, upstreamBusy.reason:
		return apierr.Overloaded
	case auditFull.reason:
		return apierr.AuditUnavailable
	}
	return or(codes[r.status], apierr.Internal)
}

// fields of the answer, but for the one of the connection.
func (r *refusal) fields(requestID string) [][2]string {
	if r.document != nil {
		return [][2]string{{"Content-Type", "application/json"}, {"Cache-Control", metadataAge}, {"X-Content-Type-Options", "nosniff"}, {"X-Request-Id", requestID}}
	}
	fields := [][2]string{
		{"Content-Type", "application/json"}, {"Cache-Control", "no-store"}, {"X-Content-Type-Options", "nosniff"},
		{ErrorHeader, r.reason}, {"X-Request-Id", requestID},
	}
	if r.challenge != "" {
		fields = append(fields, [2]string{"WWW-Authenticate", r.challenge})
	}
	if r.status == http.StatusUpgradeRequired { // RFC 9110 section 15.5.22, RFC 6455 section 4.4
		fields = append(fields, [2]string{"Upgrade", "websocket"}, [2]string{"Sec-WebSocket-Version", websocket.Version})
	}
	if r.allow != "" {
		fields = append(fields, [2]string{"Allow", r.allow})
	}
	if r.retryAfter > 0 {
		fields = append(fields, [2]string{"Retry-After", seconds(r.retryAfter)})
	}
	if r.rate[0] != "" {
		fields = append(fields, [2]string{"RateLimit-Policy", r.rate[0]}, [2]string{"RateLimit", r.rate[1]})
	}
	return fields
}

// body of the answer. Message, reason and id are ours: none needs JSON escapes.
func (r *refusal) body(decisionID string) []byte {
	if r.document != nil {
		return r.document
	}
	if r.rpcCode != 0 {
		return r.rpcDocument(decisionID)
	}
	body := make([]byte, 0, 256)
	body = append(append(body, `{"code":"`...), r.code()...)
	body = append(append(body, `","message":"`...), r.message...)
	body = append(append(body, `","details":{"reason":"`...), r.reason...)
	body = append(append(body, `","decisionId":"`...), decisionID...)
	return append(body, `"}}`...)
}

// render writes the answer.
func (r *refusal) render(response *fasthttp.Response, decisionID, requestID string) {
	response.Reset()
	response.SetStatusCode(r.status)
	for _, field := range r.fields(requestID) {
		response.Header.Set(field[0], field[1])
	}
	response.SetBodyRaw(r.body(decisionID))
}

// methodRefused is a 405 with the methods that the path has.
func methodRefused(allow string) *refusal {
	return &refusal{check: atRoute, status: http.StatusMethodNotAllowed, reason: "method_not_allowed", message: "the method is not allowed on this path", allow: allow}
}
