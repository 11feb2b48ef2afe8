package cli

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	agentidp "github.com/sentryagent/agentidp/sdk/go"
	"github.com/sentryagent/agentidp/shared/command"
)

func (p program) policies() *cobra.Command {
	return command.Group("policies", "The policy in force", p.policiesGet(), p.policiesEvaluate())
}

func (p program) policiesGet() *cobra.Command {
	return p.api(&cobra.Command{
		Use: "get", Short: "Show the policy in force", Args: takes(),
		Long: "Get prints the policy's revision, when it was loaded and its files; with -o json their text and the data too.", Example: "  agentidp policies get",
	}, briefly, func(ctx context.Context, s *session, _ []string) error {
		policy, err := s.Policy(ctx)
		if err != nil {
			return err
		}
		return s.out.object(policy, func() [][]string {
			rows := [][]string{
				{"revision", policy.Revision}, {"source", string(policy.Source)}, {"loaded", policy.LoadedAt.String()},
				{"tests passed", strconv.Itoa(policy.Tests)}, {"failed reloads", strconv.FormatInt(policy.ReloadFailures, 10)},
			}
			if policy.LastError != nil {
				rows = append(rows, []string{"last error", policy.LastError.Message})
			}
			for _, file := range policy.Files {
				rows = append(rows, []string{"file", file.Name})
			}
			return rows
		})
	})
}

func (p program) policiesEvaluate() *cobra.Command {
	var agent, organization, method, path, route, capability string
	var scopes []string
	cmd := p.api(&cobra.Command{
		Use: "evaluate --capability CAPABILITY", Short: "Try a decision: allow or deny, and why", Args: takes(),
		Long: `Evaluate asks what the policy in force would decide. It changes nothing. The scope is what the
token would carry; default: the capabilities of --agent.`,
		Example: "  agentidp policies evaluate --agent screener-001@example.com --capability notes:write --method POST --path /notes",
	}, briefly, func(ctx context.Context, s *session, _ []string) error {
		if capability == "" {
			return fmt.Errorf("%w: --capability is required: what the route demands", command.ErrUsage)
		}
		if route == "" {
			route = path
		}
		input := agentidp.PolicyInput{
			Agent: &agentidp.PolicyAgent{OrganizationID: organization}, Token: &agentidp.PolicyToken{Scope: scopes},
			Request: &agentidp.PolicyRequest{Method: method, Path: path}, Route: agentidp.PolicyRoute{ID: route, Capability: capability},
		}
		if agent != "" {
			id, err := s.agentID(ctx, agent)
			if err != nil {
				return err
			}
			found, err := s.Agent(ctx, id)
			if err != nil {
				return err
			}
			input.Agent = &agentidp.PolicyAgent{ID: found.AgentID, OrganizationID: found.OrganizationID}
			if scopes == nil {
				input.Token.Scope = found.Capabilities
			}
		}
		decision, err := s.EvaluatePolicy(ctx, input)
		if err != nil {
			return err
		}
		return s.out.object(decision, func() [][]string {
			word := "deny"
			if decision.Allow {
				word = "allow"
			}
			return [][]string{{"decision", word}, {"reason", decision.Reason}, {"obligations", string(decision.Obligations)}, {"revision", decision.Revision}, {"error", decision.Error}}
		})
	})
	cmd.Flags().StringVar(&agent, "agent", "", "who asks: id or email")
	cmd.Flags().StringVar(&organization, "organization", "", "of the agent, when --agent is left out")
	cmd.Flags().StringSliceVar(&scopes, "scope", nil, "capabilities of the token")
	cmd.Flags().StringVar(&method, "method", "GET", "method of the request")
	cmd.Flags().StringVar(&path, "path", "/", "path of the request")
	cmd.Flags().StringVar(&route, "route", "", "id of the route; default: the path")
	cmd.Flags().StringVar(&capability, "capability", "", "what the route demands")
	return cmd
}
