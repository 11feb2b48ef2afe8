package registry

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/shared/capability"
)

// NewAgent is the body of POST /agents.
type NewAgent struct {
	OrganizationID string // empty: the actor's own
	Email          string
	Type           string
	Version        string
	Capabilities   []string
	Owner          string
	Environment    string
	Metadata       json.RawMessage // nil or null: none
	JWKS           json.RawMessage // nil or null: none
	JWKSURI        string          // empty: none

	allowHTTP bool // see Options
}

// agent validates the input into an agent that is active from now on. Its
// organization is as named, for the caller to resolve.
func (in *NewAgent) agent(now time.Time) (idp.Agent, error) {
	a := idp.Agent{
		ID: uuid.NewString(), OrganizationID: in.OrganizationID, Status: idp.Active,
		CreatedAt: now, UpdatedAt: now, Revision: 1,
	}
	patch := AgentPatch{
		Email: &in.Email, Type: &in.Type, Version: &in.Version, Capabilities: &in.Capabilities,
		Owner: &in.Owner, Environment: &in.Environment, Metadata: in.Metadata, JWKS: in.JWKS, JWKSURI: &in.JWKSURI,
	}
	return a, Invalid(patch.apply(&a, in.allowHTTP))
}

// CreateAgent registers an agent. replayed says that an earlier request with
// the same Idempotency-Key made it.
func (s *Service) CreateAgent(ctx context.Context, actor Actor, in NewAgent) (agent idp.Agent, replayed bool, err error) {
	now := s.now()
	in.allowHTTP = s.allowHTTP
	fresh, err := in.agent(now)
	if err != nil {
		return idp.Agent{}, false, err
	}
	if fresh.OrganizationID, err = actor.organization(in.OrganizationID); err != nil {
		return idp.Agent{}, false, err
	}
	if err := actor.mayGrant(fresh.OrganizationID, fresh.Capabilities); err != nil {
		return idp.Agent{}, false, err
	}
	var stored idp.Agent // not a named result: the commit may outlive a caller that left
	err = actor.Commit(ctx, s.log, func(ctx context.Context, tx *store.Tx) ([]idp.Event, error) {
		earlier, err := actor.Replayed(ctx, tx, now)
		if err != nil {
			return nil, err
		}
		if earlier != "" {
			stored, err = actor.Agent(ctx, tx, earlier)
			return nil, err
		}
		stored = fresh
		if err := s.insertAgent(ctx, tx, &fresh); err != nil {
			return nil, err
		}
		return []idp.Event{createdAgent(&actor, &fresh)}, actor.Remember(ctx, tx, http.StatusCreated, fresh.ID, now)
	})
	if err != nil {
		return idp.Agent{}, false, err
	}
	return stored, stored.ID != fresh.ID, nil
}

func createdAgent(actor *Actor, a *idp.Agent) idp.Event {
	metadata := map[string]any{
		"targetAgentId": a.ID, "agentType": string(a.Type), "capabilities": a.Capabilities.Strings(),
		"deploymentEnv": string(a.Environment),
	}
	if members := keyMembers(&idp.Agent{}, a); members != nil {
		metadata["members"] = members
	}
	return actor.Event(idp.ActionAgentCreated, a.OrganizationID, metadata)
}

// insertAgent stores a new agent within its organization's limits.
func (s *Service) insertAgent(ctx context.Context, tx *store.Tx, a *idp.Agent) error {
	organization, err := tx.Organizations.Get(ctx, a.OrganizationID)
	if errors.Is(err, idp.ErrNotFound) {
		return noOrganization("organization_not_found")
	}
	if err != nil {
		return err
	}
	if limit := s.limits.On(organization.Plan).Agents; limit > 0 {
		live, err := tx.Agents.CountLive(ctx, a.OrganizationID)
		if err != nil {
			return err
		}
		if live >= limit {
			return apierr.New(apierr.FreeTierLimit, "the plan allows %d agents that are not decommissioned", limit).
				WithReason("agent_limit").WithDetail("limit", limit)
		}
	}
	return emailTaken(tx.Agents.Insert(ctx, *a))
}

func emailTaken(err error) error {
	if errors.Is(err, idp.ErrConflict) {
		return apierr.New(apierr.AgentAlreadyExists, "another agent of the organization has this email").WithReason("email_taken")
	}
	return err
}

// GetAgent reads one agent, decommissioned ones too.
func (s *Service) GetAgent(ctx context.Context, actor Actor, id string) (agent idp.Agent, err error) {
	err = s.view(ctx, func(ctx context.Context, tx *store.Tx) error {
		agent, err = actor.Agent(ctx, tx, id)
		return err
	})
	return agent, err
}

// AgentQuery narrows a list; empty members do not filter.
type AgentQuery struct {
	OrganizationID string // empty: the actor's own
	Status         string // empty: all but decommissioned
	Owner          string
	Type           string
	Environment    string
	Capability     string // held literally
	Prefix         string // that an email, an id or an owner begins with, in any case
	Sort           string // empty: as the cursor, without one -createdAt
	Cursor         string // AgentPage.NextCursor of the page before; empty: the first page
	Page           store.Page
}

// AgentPage is one page of a list of agents.
type AgentPage struct {
	store.AgentList
	NextCursor string // empty on the last page
}

func (q *AgentQuery) filter() (store.AgentFilter, error) {
	filter := store.AgentFilter{
		Status: idp.Status(q.Status), Owner: q.Owner, Type: idp.AgentType(q.Type),
		Environment: idp.Environment(q.Environment), Capability: capability.Capability(q.Capability),
	}
	rules := checkPage(q.Page)
	if q.Status != "" {
		rules = append(rules, idp.CheckStatus(filter.Status)...)
	}
	if q.Type != "" {
		rules = append(rules, idp.CheckAgentType(filter.Type)...)
	}
	if q.Environment != "" {
		rules = append(rules, idp.CheckEnvironment(filter.Environment)...)
	}
	if _, err := capability.Parse(q.Capability); q.Capability != "" && err != nil {
		rules = append(rules, idp.Rule{Field: "capability", Text: "must be a capability such as notes:read"})
	}
	if q.Prefix != "" {
		filter.Prefix = lowerASCII(q.Prefix)
		rules = append(rules, idp.CheckSearch(q.Prefix)...)
	}
	return filter, Invalid(rules)
}

// ListAgents returns one page, and how many agents match.
func (s *Service) ListAgents(ctx context.Context, actor Actor, q AgentQuery) (page AgentPage, err error) {
	filter, err := q.filter()
	if err != nil {
		return page, err
	}
	order, err := q.order()
	if err != nil {
		return page, err
	}
	if filter.OrganizationID, err = actor.organization(q.OrganizationID); err != nil {
		return page, err
	}
	err = s.view(ctx, func(ctx context.Context, tx *store.Tx) error {
		page.AgentList, err = tx.Agents.List(ctx, filter, order, q.Page)
		return err
	})
	if page.More {
		page.NextCursor = agentCursor(order.Sort, page.Agents[len(page.Agents)-1])
	}
	return page, err
}

// Usage is what an agent has used of its plan in the current UTC calendar month.
type Usage struct {
	AgentID     string
	Month       string // "2026-11"
	Tokens      int64  // answered 200
	TokensLimit int    // 0: none
	ResetsAt    time.Time
}

// GetUsage counts the month's tokens of an agent.
func (s *Service) GetUsage(ctx context.Context, actor Actor, id string) (usage Usage, err error) {
	now := s.now()
	month := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
	err = s.view(ctx, func(ctx context.Context, tx *store.Tx) error {
		agent, err := actor.Agent(ctx, tx, id)
		if err != nil {
			return err
		}
		organization, err := tx.Organizations.Get(ctx, agent.OrganizationID)
		if err != nil {
			return err
		}
		used, err := tx.Agents.TokensUsed(ctx, id, now)
		usage = Usage{
			AgentID: id, Month: month.Format("2006-01"), Tokens: used,
			TokensLimit: s.limits.On(organization.Plan).TokensPerMonth, ResetsAt: month.AddDate(0, 1, 0),
		}
		return err
	})
	return usage, err
}
