package grants

import (
	"context"
	"net/http"
	"strings"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/apierr"
)

// issued is the event of a token. What it says of index and rev, the status
// lists are computed from.
func (h *Handler) issued(c *Caller, claims issuance) idp.Event {
	return idp.Event{
		OrganizationID: c.OrganizationID, AgentID: c.AgentID, Action: idp.ActionTokenIssued, Outcome: idp.Success,
		Origin: c.Origin, Metadata: map[string]any{
			"jti": claims.JTI, "scope": claims.Scope, "aud": claims.Audience, "exp": claims.ExpiresAt,
			"kid": claims.KID, "clientId": claims.ClientID,
			"rev": []any{claims.Rev[0], claims.Rev[1], claims.Rev[2]}, "statusIndex": claims.index,
		},
	}
}

// Refuse records the refusal of a caller who is not authenticated, folded, and
// returns it. It is for requests that could not even be read, too.
func (h *Handler) Refuse(ctx context.Context, c *Caller, err error) error {
	return h.refuse(ctx, c, h.options.Log.Refuse, err)
}

// refuseProven records the refusal of a client that is authenticated, as an
// event of its own, and returns it. An assertion is used up by whatever durable
// answer it got: in the transaction of that event.
func (h *Handler) refuseProven(ctx context.Context, c *Caller, r *Request, err error) error {
	record := func(ctx context.Context, e idp.Event) error { return h.options.Log.Append(ctx, e) }
	if assertion := r.Client.Assertion; assertion != nil {
		record = func(ctx context.Context, e idp.Event) error {
			return h.options.Log.Commit(ctx, func(ctx context.Context, tx *store.Tx) ([]idp.Event, error) {
				return []idp.Event{e}, assertion.Spend(ctx, tx)
			})
		}
	}
	err = h.refuse(ctx, c, record, err)
	if apierr.Is(err, apierr.InvalidClient) { // replayed
		return h.Refuse(ctx, c, err)
	}
	return err
}

// refuse records a refusal and returns it; when it cannot be recorded, the
// answer is that instead. What is not the caller's doing is no refusal.
func (h *Handler) refuse(ctx context.Context, c *Caller, record func(context.Context, idp.Event) error, err error) error {
	refusal := apierr.From(err)
	if refusal.Code.OAuthStatus() >= http.StatusInternalServerError {
		return err
	}
	event := h.refused(c, idp.Denied, refusal.Reason)
	if err := record(ctx, event); err != nil {
		return err
	}
	return refusal
}

// unsigned takes an admission back in the log: its token never came to be.
func (h *Handler) unsigned(ctx context.Context, c *Caller, jti string, err error) error {
	refusal := apierr.From(err)
	event := h.refused(c, idp.Failure, "not_signed")
	event.Metadata["jti"] = jti
	if err := h.options.Log.Append(ctx, event); err != nil {
		return err
	}
	return refusal
}

// refused is the event of a token that was not issued. Whose log shows it: the
// client's organization when there is such a client, else the operator's.
func (h *Handler) refused(c *Caller, outcome idp.Outcome, reason string) idp.Event {
	event := idp.Event{
		OrganizationID: c.OrganizationID, AgentID: c.AgentID, Action: idp.ActionTokenRefused, Outcome: outcome,
		Reason: reason, Origin: c.Origin, Metadata: map[string]any{},
	}
	if event.OrganizationID == "" {
		event.OrganizationID = idp.OperatorOrganization
	}
	if id := ClaimedID(c.ClientID); id != "" {
		event.Metadata["clientId"] = id
	}
	return event
}

// ClaimedID is what logs keep of a client_id that nobody proved: all of one
// that can be a client's, nothing of any other, which may be a secret in the
// wrong field.
func ClaimedID(id string) string {
	random, ours := strings.CutPrefix(id, clientIDPrefix)
	if !ours || len(random) != clientIDLength {
		return ""
	}
	for i := range len(random) {
		if c := random[i]; (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return ""
		}
	}
	return id
}

const (
	clientIDPrefix = "aidp_c_"
	clientIDLength = 22 // of what follows, base62
)
