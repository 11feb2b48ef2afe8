package revocation

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/registry"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/apierr"
)

// Bound says what a count of tokens is worth.
type Bound string

// The bounds.
const (
	Exact   Bound = "exact"
	AtLeast Bound = "at_least" // the newest lookBack tokens of the agent alone were looked at
	AtMost  Bound = "at_most"  // tokens that were cut off in another way, or had a shorter life, may be counted
)

// Preview is what a revocation would cut off.
type Preview struct {
	Type           idp.RevocationType
	ID             string // as the feed would name it: of a credential its client id
	OrganizationID string // the subject's; empty: a key's, which is everybody's
	LiveTokens     int64
	Bound          Bound
	Agents         int64 // active, whose tokens die
	Credentials    int64 // whose tokens die
	Sidecars       int64 // of the organization and connected
	LookedAt       time.Time
}

// lookBack is how many of the newest tokens are looked at one by one.
const lookBack = 1000

// Preview counts what Create would cut off, for who may ask for it: the same
// subjects exist for the actor, only no ceiling holds. It counts from the log,
// in bounded time.
func (s *Service) Preview(ctx context.Context, actor registry.Actor, subject NewRevocation) (preview Preview, err error) {
	if err := subject.check(); err != nil {
		return Preview{}, err
	}
	if idp.RevocationType(subject.Type) == idp.RevokeJTI {
		return Preview{}, apierr.Invalid(apierr.Field{Field: "type", Rule: "must be one of agent, credential, organization, kid: a jti is one token"})
	}
	now := s.now()
	err = s.view(ctx, func(ctx context.Context, tx *store.Tx) error {
		named, err := resolve(ctx, tx, &subject)
		if err != nil {
			return err
		}
		look := look{service: s, tx: tx, actor: &actor, now: now, Preview: Preview{Type: idp.RevocationType(named.Type), ID: named.ID, LookedAt: now}}
		err = look.at(ctx)
		preview = look.Preview
		return err
	})
	return preview, err
}

// look is one preview in the making, inside its view.
type look struct {
	Preview
	service *Service
	tx      *store.Tx
	actor   *registry.Actor
	now     time.Time
}

func (l *look) at(ctx context.Context) error {
	switch l.Type {
	case idp.RevokeAgent:
		return l.agent(ctx)
	case idp.RevokeCredential:
		return l.credential(ctx)
	case idp.RevokeOrganization:
		return l.organization(ctx)
	default:
		return l.key(ctx)
	}
}

func (l *look) agent(ctx context.Context) error {
	agent, err := l.actor.Agent(ctx, l.tx, l.ID)
	if err != nil {
		return err
	}
	organization, err := l.tx.Organizations.Get(ctx, agent.OrganizationID)
	if err != nil {
		return err
	}
	live, err := l.tx.Credentials.Live(ctx, agent.ID)
	if err != nil {
		return err
	}
	return l.ofAgent(ctx, &agent, organization.Epoch, live)
}

func (l *look) credential(ctx context.Context) error {
	gate, err := l.tx.Credentials.Gate(ctx, l.ID)
	switch {
	case errors.Is(err, idp.ErrNotFound):
		return noTarget("credential", "credential_not_found")
	case err != nil:
		return err
	case !l.actor.Sees(gate.Organization.ID):
		return noTarget("credential", "other_organization")
	}
	var live []idp.Credential
	if gate.Credential.Status == idp.CredentialActive {
		live = []idp.Credential{gate.Credential}
	}
	return l.ofAgent(ctx, &gate.Agent, gate.Organization.Epoch, live)
}

// ofAgent counts the live tokens that the agent got for the credentials.
func (l *look) ofAgent(ctx context.Context, agent *idp.Agent, organizationEpoch int64, live []idp.Credential) error {
	l.OrganizationID, l.Bound, l.Credentials = agent.OrganizationID, Exact, int64(len(live))
	if err := l.sidecars(ctx, agent.OrganizationID); err != nil || agent.Status != idp.Active {
		l.Credentials = 0
		return err
	}
	l.Agents = 1
	current := make(map[string]idp.Rev, len(live))
	for _, c := range live {
		current[c.ClientID] = idp.Rev{Organization: organizationEpoch, Agent: agent.Epoch, Credential: c.Epoch}
	}
	tokens, all, err := l.newest(ctx, store.EventFilter{OrganizationID: agent.OrganizationID, AgentID: agent.ID})
	if err != nil {
		return err
	}
	if !all && !slices.ContainsFunc(tokens, func(t issuedToken) bool {
		return t.rev().Organization < organizationEpoch || t.rev().Agent < agent.Epoch
	}) {
		l.Bound = AtLeast // else all that came before is dead
	}
	return l.count(ctx, tokens, func(t issuedToken) bool {
		rev, held := current[t.ClientID]
		return held && t.rev().Live(rev)
	})
}

func (l *look) organization(ctx context.Context) error {
	if !l.actor.Sees(l.ID) {
		return noTarget("organization", "other_organization")
	}
	organization, err := l.tx.Organizations.Get(ctx, l.ID)
	if errors.Is(err, idp.ErrNotFound) {
		return noTarget("organization", "organization_not_found")
	}
	if err != nil {
		return err
	}
	l.OrganizationID = l.ID
	dead := func(t issuedToken) bool { return t.rev().Organization < organization.Epoch }
	return l.ofMany(ctx, l.ID, dead, func(issuedToken) bool { return true }, l.now.Add(-l.service.maxTTL))
}

func (l *look) key(ctx context.Context) error {
	status, err := keyStatus(ctx, l.tx, l.actor, l.ID)
	if err != nil {
		return err
	}
	if status == store.KeyRevoked {
		l.Bound = Exact
		return l.present(ctx, store.AnyOrganization)
	}
	keys, err := l.tx.Keys.List(ctx, store.UseToken)
	if err != nil {
		return err
	}
	key := keys[slices.IndexFunc(keys, func(k store.Key) bool { return k.ID == l.ID })]
	from := l.now.Add(-l.service.maxTTL)
	if key.ActivatedAt.After(from) {
		from = key.ActivatedAt
	}
	return l.ofMany(ctx, store.AnyOrganization, nil, func(t issuedToken) bool { return t.KID == l.ID }, from)
}

// ofMany counts tokens that many agents got: one by one while they are few, and
// else by the counts of each minute. dead says that no older token lives.
func (l *look) ofMany(ctx context.Context, organizationID string, dead, concerned func(issuedToken) bool, from time.Time) error {
	l.Bound = AtMost
	if err := l.present(ctx, organizationID); err != nil {
		return err
	}
	tokens, all, err := l.newest(ctx, store.EventFilter{OrganizationID: organizationID})
	if err != nil {
		return err
	}
	if end := slices.IndexFunc(tokens, func(t issuedToken) bool { return dead != nil && dead(t) }); end >= 0 {
		tokens, all = tokens[:end], true
	}
	if all {
		return l.count(ctx, tokens, concerned)
	}
	counts, err := l.tx.Stats.Counts(ctx, store.CountQuery{
		OrganizationID: organizationID, Step: store.StepMinute, From: from.Truncate(time.Minute), To: l.now.Add(time.Minute).Truncate(time.Minute),
	})
	for _, c := range counts {
		switch {
		case c.Outcome != idp.Success:
		case c.Action == idp.ActionTokenIssued:
			l.LiveTokens += c.Count
		case c.Action == idp.ActionTokenRevoked:
			l.LiveTokens -= c.Count
		}
	}
	l.LiveTokens = max(0, l.LiveTokens)
	return err
}

// present counts who is concerned in an organization.
func (l *look) present(ctx context.Context, organizationID string) error {
	p, err := l.tx.Stats.Present(ctx, organizationID, l.now)
	l.Agents, l.Credentials, l.Sidecars = p.ActiveAgents, p.Credentials, p.ConnectedSidecars
	return err
}

func (l *look) sidecars(ctx context.Context, organizationID string) (err error) {
	l.Sidecars, _, err = l.tx.Stats.Sidecars(ctx, organizationID, l.now)
	return err
}

// issuedToken is what the log keeps of a token; see grants.
type issuedToken struct {
	JTI      string  `json:"jti"`
	Expires  int64   `json:"exp"`
	KID      string  `json:"kid"`
	ClientID string  `json:"clientId"`
	Rev      []int64 `json:"rev"`
}

func (t issuedToken) rev() idp.Rev {
	if len(t.Rev) != 3 {
		return idp.Rev{}
	}
	return idp.Rev{Organization: t.Rev[0], Agent: t.Rev[1], Credential: t.Rev[2]}
}

// newest reads the newest tokens that may live yet; all says that there are no more of them.
func (l *look) newest(ctx context.Context, filter store.EventFilter) (tokens []issuedToken, all bool, err error) {
	filter.Action, filter.Outcome = idp.ActionTokenIssued, idp.Success
	filter.From, filter.Limit = l.now.Add(-l.service.maxTTL), lookBack
	rows, err := l.tx.Events.List(ctx, filter)
	for _, row := range rows {
		var event struct {
			Metadata issuedToken `json:"metadata"`
		}
		if err := json.Unmarshal(row.Body, &event); err != nil {
			return nil, false, apierr.From(err)
		}
		tokens = append(tokens, event.Metadata)
	}
	return tokens, len(rows) < lookBack, err
}

// count counts the tokens that are concerned and neither expired nor revoked one by one.
func (l *look) count(ctx context.Context, tokens []issuedToken, concerned func(issuedToken) bool) error {
	var live []string
	for _, t := range tokens {
		if t.Expires > l.now.Unix() && concerned(t) {
			live = append(live, t.JTI)
		}
	}
	if len(live) == 0 {
		return nil
	}
	revoked, err := l.tx.Revocations.CountRevoked(ctx, live)
	l.LiveTokens = int64(len(live) - revoked)
	return err
}
