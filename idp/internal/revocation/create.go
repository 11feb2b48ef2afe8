package revocation

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"time"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/issuer"
	"github.com/sentryagent/agentidp/idp/internal/registry"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/apierr"
)

// NewRevocation is the body of POST /revocations. ID names what Type says:
// agentId, credentialId or clientId of a credential, organizationId, kid, or jti.
type NewRevocation struct {
	Type   string
	ID     string
	Reason string // for the audit log; empty: "revoked"
}

const maxIdentifier = 128 // bytes

// reasonHand is the reason of every entry made by hand, as the feed shows it.
const reasonHand = "revoked"

var (
	identifier = regexp.MustCompile(`^[A-Za-z0-9._~-]+$`) // and maxIdentifier: counted repetition compiles to half a megabyte
	// No client id looks like this: they begin with aidp_c_.
	credentialID = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
)

func (in *NewRevocation) check() error {
	rules := idp.CheckRevocationType(idp.RevocationType(in.Type))
	if len(in.ID) > maxIdentifier || !identifier.MatchString(in.ID) {
		rules = append(rules, idp.Rule{Field: "id", Text: "must be 1 to 128 of A-Z, a-z, 0-9 and . _ ~ -"})
	}
	rules = append(rules, idp.CheckReason(in.Reason)...)
	if in.Reason == "" {
		in.Reason = reasonHand
	}
	return registry.Invalid(rules)
}

// Create cuts something off by hand. agent, credential and organization raise
// the epoch, so that everything minted so far is dead and what is minted next
// lives; they need the actor to hold what the target holds of reserved
// capabilities. kid and jti are for the operator, and final: a jti names no
// owner to ask, who holds the token has RFC 7009. replayed says that an earlier
// request with the same Idempotency-Key made the entry. What the actor gave as
// reason goes to the audit log only, because every tenant reads the feed.
func (s *Service) Create(ctx context.Context, actor registry.Actor, in NewRevocation) (entry idp.Revocation, replayed bool, err error) {
	if err := in.check(); err != nil {
		return idp.Revocation{}, false, err
	}
	if idp.RevocationType(in.Type) == idp.RevokeKID {
		return s.createForKey(ctx, &actor, &in)
	}
	return s.create(ctx, &actor, &in, nil)
}

// create makes the entry; the spare is for the active key.
func (s *Service) create(ctx context.Context, actor *registry.Actor, in *NewRevocation, spare *issuer.Spare) (idp.Revocation, bool, error) {
	now := s.now()
	var made idp.Revocation
	var again bool
	err := actor.Commit(ctx, s.log, func(ctx context.Context, tx *store.Tx) ([]idp.Event, error) {
		named, err := resolve(ctx, tx, in)
		if err != nil {
			return nil, err
		}
		earlier, err := actor.Replayed(ctx, tx, now)
		if again = earlier != ""; err != nil || again {
			made = unpack(earlier, named)
			return nil, err
		}
		cut := cut{service: s, tx: tx, actor: actor, in: named, now: now, spare: spare}
		organizationID, err := cut.make(ctx)
		if err != nil {
			return nil, err
		}
		made = cut.entry
		if err := actor.Remember(ctx, tx, http.StatusCreated, pack(&made), now); err != nil || cut.existed {
			return cut.events, err
		}
		metadata := map[string]any{"type": named.Type, "id": named.ID, "reason": named.Reason}
		if made.Epoch != 0 {
			metadata["epoch"] = made.Epoch
		}
		if cut.target != "" {
			metadata["targetAgentId"] = cut.target
		}
		return append(cut.events, actor.Event(idp.ActionRevocationCreated, organizationID, metadata)), nil
	})
	if err != nil {
		// made and again are not read: the commit may outlive a caller that left.
		return idp.Revocation{}, false, err
	}
	return made, again, nil
}

// resolve names a credential as tokens and the feed do, by its client id.
func resolve(ctx context.Context, tx *store.Tx, in *NewRevocation) (*NewRevocation, error) {
	if idp.RevocationType(in.Type) != idp.RevokeCredential || !credentialID.MatchString(in.ID) {
		return in, nil
	}
	clientID, err := tx.Credentials.ClientID(ctx, in.ID)
	if errors.Is(err, idp.ErrNotFound) {
		return nil, noTarget("credential", "credential_not_found")
	}
	named := *in
	named.ID = clientID
	return &named, err
}

// pack keeps of an entry what the request that made it does not say.
func pack(r *idp.Revocation) string {
	expires := int64(0)
	if !r.Expires.IsZero() {
		expires = r.Expires.Unix()
	}
	return fmt.Sprintf("%d %d %d %d", r.Seq, r.Epoch, expires, r.At.UnixMilli())
}

// unpack is pack's inverse, given the same request; anything else gives what the request says.
func unpack(packed string, in *NewRevocation) idp.Revocation {
	r := idp.Revocation{Type: idp.RevocationType(in.Type), ID: in.ID, Reason: reasonHand}
	var expires, at int64
	if n, err := fmt.Sscanf(packed, "%d %d %d %d", &r.Seq, &r.Epoch, &expires, &at); n != 4 || err != nil {
		return r
	}
	r.At = time.UnixMilli(at).UTC()
	if expires != 0 {
		r.Expires = time.Unix(expires, 0).UTC()
	}
	return r
}

// cut is one revocation in the making, inside its transaction.
type cut struct {
	service *Service
	tx      *store.Tx
	actor   *registry.Actor
	in      *NewRevocation
	now     time.Time
	spare   *issuer.Spare  // takes the place of the active key
	entry   idp.Revocation // the result
	events  []idp.Event    // of what else had to change
	existed bool           // nothing was new: entry is an earlier one
	target  string         // the agent that is cut off, or whose credential is; empty: another thing
}

// make returns the organization whose log shows the event.
func (c *cut) make(ctx context.Context) (organizationID string, err error) {
	switch idp.RevocationType(c.in.Type) {
	case idp.RevokeAgent:
		return c.agent(ctx)
	case idp.RevokeCredential:
		return c.credential(ctx)
	case idp.RevokeOrganization:
		return c.organization(ctx)
	case idp.RevokeKID:
		return c.key(ctx)
	default:
		return c.token(ctx)
	}
}

func (c *cut) agent(ctx context.Context) (string, error) {
	agent, err := c.actor.Agent(ctx, c.tx, c.in.ID)
	if err != nil {
		return "", err
	}
	if err := c.actor.Ceiling(agent.Capabilities); err != nil {
		return "", err
	}
	if c.entry, err = registry.CutAgent(ctx, c.tx, &agent, reasonHand, c.now); err != nil {
		return "", err
	}
	agent.UpdatedAt, c.target = c.now, agent.ID
	return agent.OrganizationID, c.tx.Agents.Update(ctx, agent)
}

func (c *cut) credential(ctx context.Context) (string, error) {
	gate, err := c.tx.Credentials.Gate(ctx, c.in.ID)
	if errors.Is(err, idp.ErrNotFound) {
		return "", noTarget("credential", "credential_not_found")
	}
	if err != nil {
		return "", err
	}
	if !c.actor.Sees(gate.Organization.ID) {
		return "", noTarget("credential", "other_organization")
	}
	if err := c.actor.Ceiling(gate.Agent.Capabilities); err != nil {
		return "", err
	}
	if c.entry, err = registry.CutCredential(ctx, c.tx, &gate.Credential, reasonHand, c.now); err != nil {
		return "", err
	}
	c.target = gate.Agent.ID
	return gate.Organization.ID, c.tx.Credentials.Update(ctx, gate.Credential)
}

// organization cuts administrators too, so only what covers them may do it.
func (c *cut) organization(ctx context.Context) (string, error) {
	if !c.actor.Sees(c.in.ID) {
		return "", noTarget("organization", "other_organization")
	}
	_, err := c.tx.Organizations.Get(ctx, c.in.ID)
	if errors.Is(err, idp.ErrNotFound) {
		return "", noTarget("organization", "organization_not_found")
	}
	if err != nil {
		return "", err
	}
	if err := c.actor.Ceiling(idp.AdministratorCapabilities(c.in.ID)); err != nil {
		return "", err
	}
	c.entry, err = registry.CutOrganization(ctx, c.tx, c.in.ID, reasonHand, c.now)
	return c.in.ID, err
}

func (c *cut) token(ctx context.Context) (string, error) {
	// Before anything is looked up: whether a jti is listed is nobody else's business.
	if !c.actor.Operator() {
		return "", operatorOnly("revoke a token by its jti")
	}
	// Its exp is unknown: no token lives longer than this from now on.
	expires := c.now.Add(c.service.maxTTL).Truncate(time.Second).Add(time.Second)
	return c.actor.OrganizationID, c.list(ctx, c.in.ID, "", expires)
}

func operatorOnly(deed string) error {
	return apierr.New(apierr.Forbidden, "only agents of the operator's organization can %s", deed).WithReason("operator_only")
}

// list appends a jti or kid entry unless there is one.
func (c *cut) list(ctx context.Context, jti, kid string, expires time.Time) (err error) {
	if c.existed, err = c.tx.Revocations.RevokedToken(ctx, jti, kid); err != nil {
		return err
	}
	c.entry = idp.Revocation{Type: idp.RevocationType(c.in.Type), ID: c.in.ID, Expires: expires, Reason: reasonHand, At: c.now}
	if !c.existed {
		c.entry.Seq, err = c.tx.Revocations.Append(ctx, c.entry)
		return err
	}
	return entries(ctx, c.tx, func(r *idp.Revocation) {
		if r.Type == c.entry.Type && r.ID == c.entry.ID {
			c.entry = *r
		}
	})
}

func noTarget(noun, reason string) error {
	return apierr.New(apierr.NotFound, "no such %s", noun).WithReason(reason)
}
