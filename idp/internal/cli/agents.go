package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	agentidp "github.com/sentryagent/agentidp/sdk/go"
	"github.com/sentryagent/agentidp/shared/command"
)

func (p program) agents() *cobra.Command {
	return command.Group("agents", "Registered agents", p.agentsList(), p.agentsCreate(), p.agentsGet(), p.agentsUpdate(),
		p.agentsStatus("suspend", "Suspend an agent: its live tokens die within a second and it gets no others", (*session).SuspendAgent),
		p.agentsStatus("reactivate", "Let a suspended agent get tokens again", (*session).ReactivateAgent),
		p.agentsDecommission())
}

func (p program) agentsList() *cobra.Command {
	var f agentidp.AgentFilter
	var limit int
	cmd := p.api(&cobra.Command{
		Use: "list", Short: "List agents, newest first", Args: takes(),
		Long:    "List prints agents, newest first. Decommissioned ones appear only when --status asks for them.",
		Example: "  agentidp agents list --status suspended\n  agentidp agents list --capability notes:read -o json | jq -r '.[].email'",
	}, briefly, func(ctx context.Context, s *session, _ []string) error {
		return list(s.out, s.Agents(ctx, f), limit, []string{"AGENT ID", "EMAIL", "TYPE", "ENVIRONMENT", "STATUS", "CAPABILITIES", "LAST TOKEN"}, func(a agentidp.Agent) []string {
			return []string{a.AgentID, a.Email, string(a.AgentType), string(a.DeploymentEnv), string(a.Status), brief(strings.Join(a.Capabilities, " ")), at(a.LastAuthAt)}
		})
	})
	cmd.Flags().StringVar(&f.Search, "search", "", "only agents whose email, id or owner begins so")
	cmd.Flags().StringVar((*string)(&f.Sort), "sort", "", "createdAt or email, downwards with -; default: -createdAt")
	cmd.Flags().StringVar((*string)(&f.Status), "status", "", "active, suspended or decommissioned")
	cmd.Flags().StringVar(&f.Owner, "owner", "", "only agents of this owner")
	cmd.Flags().StringVar((*string)(&f.AgentType), "type", "", "only agents of this type")
	cmd.Flags().StringVar((*string)(&f.DeploymentEnv), "env", "", "development, staging or production")
	cmd.Flags().StringVar(&f.Capability, "capability", "", "only agents that hold exactly this capability")
	cmd.Flags().StringVar(&f.OrganizationID, "organization", "", "another organization's, for the operator")
	cmd.Flags().IntVar(&limit, "limit", 0, "so many at most; 0: all")
	return cmd
}

func (p program) agentsGet() *cobra.Command {
	cmd := p.api(&cobra.Command{
		Use: "get AGENT", Short: "Show one agent", Args: takes("AGENT"),
		Long: "Get shows an agent, by its id or email, and what it used of its quota.", Example: "  agentidp agents get screener-001@example.com",
	}, briefly, func(ctx context.Context, s *session, args []string) error {
		id, err := s.agentID(ctx, args[0])
		if err != nil {
			return err
		}
		agent, err := s.Agent(ctx, id)
		if err != nil {
			return err
		}
		if s.out.json {
			return s.out.write(agent)
		}
		usage, err := s.AgentUsage(ctx, id)
		if err != nil {
			return err
		}
		return s.out.table(nil, append(agentRows(agent), []string{"tokens in " + usage.Month, usedOf(usage.TokensUsed, usage.TokensLimit)}))
	})
	return p.completesAgents(cmd)
}

func usedOf(used, limit int64) string {
	if limit == 0 {
		return fmt.Sprintf("%d, no limit", used)
	}
	return fmt.Sprintf("%d of %d", used, limit)
}

func (s *session) showAgent(a agentidp.Agent) error {
	return s.out.object(a, func() [][]string { return agentRows(a) })
}

func agentRows(a agentidp.Agent) [][]string {
	keys := a.JWKSURI
	if a.JWKS != nil {
		keys = "registered"
	}
	return [][]string{
		{"agent", a.AgentID},
		{"email", a.Email},
		{"organization", a.OrganizationID},
		{"status", string(a.Status)},
		{"type", string(a.AgentType)},
		{"version", a.Version},
		{"environment", string(a.DeploymentEnv)},
		{"owner", a.Owner},
		{"capabilities", strings.Join(a.Capabilities, " ")},
		{"metadata", string(a.Metadata)},
		{"keys", keys},
		{"created", a.CreatedAt.String()},
		{"updated", a.UpdatedAt.String()},
		{"last token", at(a.LastAuthAt)},
	}
}
