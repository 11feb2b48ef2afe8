package cli

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	agentidp "github.com/sentryagent/agentidp/sdk/go"
)

// agentID takes an id, or the email of an agent that is not decommissioned.
func (s *session) agentID(ctx context.Context, name string) (string, error) {
	if !strings.Contains(name, "@") {
		return name, nil
	}
	for agent, err := range s.Agents(ctx, agentidp.AgentFilter{Search: name}) {
		if err != nil {
			return "", err
		}
		if strings.EqualFold(agent.Email, name) {
			return agent.AgentID, nil
		}
	}
	return "", &failure{text: plain(fmt.Sprintf("NOT_FOUND: no agent has the email %s: agentidp agents list", name)), status: exitNotFound}
}

// agentNames names agents by what people know them by: the emails of one page of
// the list, asked for once, when the first is needed. Whoever is not on it, and
// everybody if the list may not be seen or fails, is called by the id.
func (s *session) agentNames(ctx context.Context) func(id string) string {
	emails := sync.OnceValue(func() map[string]string {
		emails := map[string]string{}
		page, err := s.AgentPage(ctx, agentidp.AgentFilter{}, "", 100)
		if err != nil {
			return emails
		}
		for _, agent := range page.Data {
			emails[agent.AgentID] = agent.Email
		}
		return emails
	})
	return func(id string) string {
		if id == "" {
			return ""
		}
		if email := emails()[id]; email != "" {
			return email
		}
		return id
	}
}

// completesAgents completes the first argument by the ids of agents.
func (p program) completesAgents(cmd *cobra.Command) *cobra.Command {
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), 3*time.Second)
		defer cancel()
		name, _ := cmd.Flags().GetString("profile") // every such command has it
		s, err := p.open(&connectFlags{profile: name, format: "table"})
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		page, err := s.AgentPage(ctx, agentidp.AgentFilter{Search: prefix}, "", 100)
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		var ids []string
		for _, agent := range page.Data {
			ids = append(ids, agent.AgentID+"\t"+plain(agent.Email)) // the shell keeps those with the prefix
		}
		return ids, cobra.ShellCompDirectiveNoFileComp
	}
	return cmd
}
