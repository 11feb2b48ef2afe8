package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	agentidp "github.com/sentryagent/agentidp/sdk/go"
)

func (p program) agentsStatus(use, short string, change func(*session, context.Context, string, string) (agentidp.Agent, error)) *cobra.Command {
	var reason string
	cmd := p.api(&cobra.Command{Use: use + " AGENT", Short: short, Args: takes("AGENT"), Example: "  agentidp agents " + use + " screener-001@example.com --reason 'incident 4711'"},
		briefly, func(ctx context.Context, s *session, args []string) error {
			id, err := s.agentID(ctx, args[0])
			if err != nil {
				return err
			}
			agent, err := change(s, ctx, id, reason)
			if err != nil {
				return err
			}
			return s.showAgent(agent)
		})
	reasonFlag(cmd, &reason)
	return p.completesAgents(cmd)
}

func (p program) agentsDecommission() *cobra.Command {
	var yes bool
	var reason string
	cmd := p.api(&cobra.Command{
		Use: "decommission AGENT", Short: "End an agent for good", Args: takes("AGENT"),
		Long:    `Decommission is final: the agent's live tokens die, its credentials are revoked, its email is free again. The record and its audit log stay.`,
		Example: "  agentidp agents decommission screener-001@example.com",
	}, forever, func(ctx context.Context, s *session, args []string) error {
		id, err := s.agentID(ctx, args[0])
		if err != nil {
			return err
		}
		agent, err := s.Agent(ctx, id)
		if err != nil {
			return err
		}
		live := 0
		for credential, err := range s.Credentials(ctx, id) {
			if err != nil {
				return err
			}
			if credential.Status == agentidp.CredentialActive {
				live++
			}
		}
		consequence := fmt.Sprintf("Agent %s (%s) ends for good: its live tokens die within a second, its %d active credentials are revoked. Nothing brings it back.", agent.Email, agent.AgentID, live)
		if err := s.confirm(ctx, yes, consequence, agent.Email); err != nil {
			return err
		}
		if err := s.DecommissionAgent(ctx, id, reason); err != nil {
			return err
		}
		if agent, err = s.Agent(ctx, id); err != nil {
			return err
		}
		return s.showAgent(agent)
	})
	reasonFlag(cmd, &reason)
	cmd.Flags().BoolVar(&yes, "yes", false, "do it without asking")
	return p.completesAgents(cmd)
}

// reasonFlag is the flag of every command that cuts something off.
func reasonFlag(cmd *cobra.Command, reason *string) {
	cmd.Flags().StringVar(reason, "reason", "", "why, for the audit log: at most 256 printable ASCII characters")
}
