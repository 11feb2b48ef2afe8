package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	agentidp "github.com/sentryagent/agentidp/sdk/go"
	"github.com/sentryagent/agentidp/shared/command"
)

// Exit statuses of the commands that call the API, beside those of package command.
const (
	exitNotFound    = 3 // it does not exist, or belongs to another organization
	exitNotAllowed  = 4 // the credential is wrong, or may not do that
	exitUnavailable = 5 // the IdP is away, overloaded, or limits requests: try again
)

// failure is one line that says what failed and what to do about it.
type failure struct {
	text   string
	status int
	cause  error
}

func (f *failure) Error() string   { return f.text }
func (f *failure) ExitStatus() int { return f.status }
func (f *failure) Unwrap() error   { return f.cause }

// explain makes an error of the API a line with code, message, request id and what to do.
func explain(err error) error {
	var refused *agentidp.Error
	var unreachable *url.Error
	var network *net.OpError
	var told *failure
	switch {
	case err == nil, errors.Is(err, command.ErrUsage), errors.As(err, &told):
		return err
	case errors.As(err, &refused):
		return &failure{text: line(refused), status: exitStatus(refused), cause: err}
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &unreachable), errors.As(err, &network):
		return &failure{text: plain(fmt.Sprintf("UNREACHABLE: %v: is the IdP running, and the URL right? \"agentidp doctor\" says more", err)), status: exitUnavailable, cause: err}
	default:
		return &failure{text: strings.TrimPrefix(plain(err.Error()), "agentidp: "), status: command.ExitFailed, cause: err}
	}
}

func line(e *agentidp.Error) string {
	code := e.Code
	if code == "" {
		code = fmt.Sprintf("HTTP %d", e.Status)
	}
	text := code
	if e.Message != "" {
		text += ": " + e.Message
	}
	if e.Details.Reason != "" {
		text += " (" + e.Details.Reason + ")"
	}
	for _, f := range e.Details.Fields {
		text += fmt.Sprintf("; %s %s", f.Field, f.Rule)
	}
	if e.RequestID != "" {
		text += " [request " + e.RequestID + "]"
	}
	if hint := remedy(e); hint != "" {
		text += ": " + hint
	}
	return plain(text)
}

func exitStatus(e *agentidp.Error) int {
	switch {
	case e.Status == http.StatusNotFound:
		return exitNotFound
	case e.Status == http.StatusUnauthorized, e.Status == http.StatusForbidden, e.Code == "unauthorized_client", e.Code == "access_denied":
		return exitNotAllowed
	case e.Status == http.StatusTooManyRequests, e.Status >= 500:
		return exitUnavailable
	default:
		return command.ExitFailed
	}
}

// remedies says what to do, by code.
var remedies = map[string]string{
	"invalid_client":                   `the client id or secret is wrong, expired or revoked: log in again ("agentidp login"), or have the credential rotated`,
	"unauthorized_client":              `the agent may not do that; when it is suspended: agentidp agents reactivate, with another agent's --profile`,
	"invalid_scope":                    `ask for what the agent holds: agentidp agents get`,
	"invalid_target":                   `--resource must be an absolute URI that the IdP issues tokens for`,
	"quota_exceeded":                   `no more tokens this month: raise the organization's plan, or wait for the next month`,
	"rate_limited":                     `wait a moment and try again`,
	agentidp.CodeUnauthenticated:       `log in again: agentidp login`,
	agentidp.CodeForbidden:             `the profile's agent lacks a capability: use another profile (--profile; "agentidp profiles list" has the current one), or have it granted`,
	agentidp.CodeCapabilityCeiling:     `only who holds a reserved capability can grant it`,
	agentidp.CodeFreeTierLimitExceeded: `decommission what is not used, or raise the plan: agentidp organizations update --plan custom`,
	agentidp.CodeNotFound:              `check the id; of another organization it would not show`,
	agentidp.CodeAgentAlreadyExists:    `another email, or look for it: agentidp agents list`,
	agentidp.CodeLastAdministrator:     `make another administrator first`,
	agentidp.CodeInvalidState:          `look at what it is now, with get or list`,
	agentidp.CodeValidationFailed:      `correct it; --help has the form`,
	agentidp.CodePreconditionFailed:    `it changed meanwhile: look at it and try again`,
	agentidp.CodeRateLimited:           `wait a moment and try again`,
	agentidp.CodeInternal:              `the IdP's log has the cause under the request id`,
	agentidp.CodeOverloaded:            `nothing was done: try again`,
	agentidp.CodeAuditUnavailable:      `nothing was done: look at the disk of the audit log ("agentidp doctor")`,
	agentidp.CodeStoreUnavailable:      `look at the store ("agentidp doctor") and try again`,
	agentidp.CodeUnavailable:           `look at "agentidp doctor" and try again`,
	agentidp.CodeIdempotencyKeyReused:  `try again`,
	agentidp.CodeUnsupportedMediaType:  `is something else answering at that URL?`,
}

func remedy(e *agentidp.Error) string {
	if e.Code == "" {
		return "that is no answer of an IdP: is the URL right?"
	}
	return remedies[e.Code]
}
