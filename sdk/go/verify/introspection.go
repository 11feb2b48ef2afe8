package verify

import (
	"context"
	"time"

	agentidp "github.com/sentryagent/agentidp/sdk/go"
)

// introspectionTimeout is of one question, with all its attempts.
const introspectionTimeout = 2 * time.Second

// Introspection asks the IdP about every token (RFC 7662): exact, and a call for
// each. No answer within 2 seconds, or the caller's shorter time, is an
// *Unavailable: no request hangs for long because the IdP does. The client's agent
// needs the capability tokens:introspect; what it is not allowed to see counts as
// revoked.
func Introspection(client *agentidp.Client) func(*Verifier) Revocations {
	return func(*Verifier) Revocations { return &introspection{client} }
}

type introspection struct{ client *agentidp.Client }

// Check implements Revocations.
func (i *introspection) Check(ctx context.Context, raw string, _ *Claims) error {
	ctx, cancel := context.WithTimeout(ctx, introspectionTimeout)
	defer cancel()
	state, err := i.client.Introspect(ctx, raw)
	if err != nil {
		return &Unavailable{Reason: RevocationsStale, cause: err}
	}
	if !state.Active {
		return &Error{Reason: TokenRevoked}
	}
	return nil
}
