package httpx

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sentryagent/agentidp/shared/apierr"
)

// MediaJSON and MediaForm are the media types of request bodies.
const (
	MediaJSON = "application/json"
	MediaForm = "application/x-www-form-urlencoded"
)

const realm = `realm="agentidp"`

// WriteJSON answers with v as JSON and the security headers. A v that cannot be
// encoded is a mistake in the program: 500.
func WriteJSON(ctx *fasthttp.RequestCtx, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		WriteError(ctx, apierr.From(err))
		return
	}
	write(ctx, status, body)
}

func write(ctx *fasthttp.RequestCtx, status int, body []byte) {
	ctx.Response.ResetBody()
	ctx.SetStatusCode(status)
	ctx.Response.Header.SetContentType(MediaJSON)
	SetSecurityHeaders(&ctx.Response.Header)
	ctx.SetBody(body)
}

// WriteError answers with a refusal in the form of the resource API:
// {"code", "message", "details"}; details is always an object, its member fields
// lists the broken rules. A 401 gets its challenge (RFC 6750 section 3) unless
// the answer has one: without error code if Reason is "token_missing". A 403
// for Reason "capability_missing" says insufficient_scope.
func WriteError(ctx *fasthttp.RequestCtx, e *apierr.Error) {
	details := make(map[string]any, len(e.Details)+1)
	for name, value := range e.Details {
		details[name] = value
	}
	if len(e.Fields) > 0 {
		details["fields"] = e.Fields
	}
	refusal := struct {
		Code    apierr.Code    `json:"code"`
		Message string         `json:"message"`
		Details map[string]any `json:"details"`
	}{e.Code, e.Detail, details}
	body, err := json.Marshal(refusal)
	if err != nil { // a detail that is not data
		refusal.Details = map[string]any{}
		body, _ = json.Marshal(refusal) // strings only: cannot fail
	}
	writeRefusal(ctx, e, e.Code.Status(), body)
}

// WriteOAuthError answers with a refusal in the form of RFC 6749 section 5.2:
// {"error", "error_description"}, never cached. invalid_client gets a Basic challenge.
func WriteOAuthError(ctx *fasthttp.RequestCtx, e *apierr.Error) {
	text := e.Detail
	for _, f := range e.Fields {
		text += "; " + f.Field + ": " + f.Rule
	}
	body, _ := json.Marshal(struct { // strings only: cannot fail
		Error       string `json:"error"`
		Description string `json:"error_description,omitempty"`
	}{e.Code.OAuth(), description(text)})
	ctx.Response.Header.Set("Cache-Control", "no-store")
	ctx.Response.Header.Set("Pragma", "no-cache")
	writeRefusal(ctx, e, e.Code.OAuthStatus(), body)
}

// description keeps to the characters of error_description: %x20-21 / %x23-5B / %x5D-7E.
func description(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '"':
			return '\''
		case r == '\\', r < ' ', r > '~':
			return '?'
		}
		return r
	}, text)
}

type refusalKey struct{}

func writeRefusal(ctx *fasthttp.RequestCtx, e *apierr.Error, status int, body []byte) {
	ctx.SetUserValue(refusalKey{}, e)
	if e.RetryAfter > 0 {
		seconds := int64((e.RetryAfter + time.Second - 1) / time.Second)
		ctx.Response.Header.Set("Retry-After", strconv.FormatInt(seconds, 10))
	}
	if challenge := challengeOf(e); challenge != "" && len(ctx.Response.Header.Peek("WWW-Authenticate")) == 0 {
		ctx.Response.Header.Set("WWW-Authenticate", challenge)
	}
	write(ctx, status, body)
}

func challengeOf(e *apierr.Error) string {
	switch {
	case e.Code == apierr.InvalidClient:
		return "Basic " + realm
	case e.Code == apierr.Unauthenticated && e.Reason == "token_missing":
		return "Bearer " + realm
	case e.Code == apierr.Unauthenticated:
		return "Bearer " + realm + `, error="invalid_token"`
	case e.Code == apierr.Forbidden && e.Reason == "capability_missing":
		return "Bearer " + realm + `, error="insufficient_scope"`
	}
	return ""
}

// Refusal is the refusal that the request was answered with, for its log line;
// nil if none.
func Refusal(ctx *fasthttp.RequestCtx) *apierr.Error {
	e, _ := ctx.UserValue(refusalKey{}).(*apierr.Error)
	return e
}
