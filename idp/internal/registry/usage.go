package registry

import (
	"context"
	"time"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

// OrganizationUsage is what an organization has used of its plan. Limits are
// 0 where there is none.
type OrganizationUsage struct {
	OrganizationID      string
	Month               string // "2026-11", UTC
	Agents              int    // that are not decommissioned
	AgentsLimit         int
	Tokens              int64 // issued in the month to all agents
	TokensLimitPerAgent int   // in a month: the plan limits agents, not their sum
	ResetsAt            time.Time
	MostTokens          []store.AgentUsage // the agents nearest to their limit, at most mostTokens
}

// mostTokens is how many agents a usage names.
const mostTokens = 10

// GetOrganizationUsage counts the agents and the month's tokens of the actor's
// own organization, or of any for the operator.
func (s *Service) GetOrganizationUsage(ctx context.Context, actor Actor, id string) (usage OrganizationUsage, err error) {
	now := s.now()
	month := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
	err = s.view(ctx, func(ctx context.Context, tx *store.Tx) error {
		organization, err := actor.readOrganization(ctx, tx, id)
		if err != nil {
			return err
		}
		limits := s.limits.On(organization.Plan)
		usage = OrganizationUsage{
			OrganizationID: id, Month: month.Format("2006-01"), AgentsLimit: limits.Agents,
			TokensLimitPerAgent: limits.TokensPerMonth, ResetsAt: month.AddDate(0, 1, 0),
		}
		if usage.Agents, err = tx.Agents.CountLive(ctx, id); err != nil {
			return err
		}
		if usage.MostTokens, err = tx.Stats.MostTokens(ctx, id, now, mostTokens); err != nil {
			return err
		}
		counts, err := tx.Stats.Counts(ctx, store.CountQuery{OrganizationID: id, Step: store.StepDay, From: month, To: usage.ResetsAt})
		for _, c := range counts {
			if c.Action == idp.ActionTokenIssued && c.Outcome == idp.Success {
				usage.Tokens += c.Count
			}
		}
		return err
	})
	return usage, err
}
