package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"

	"github.com/spf13/cobra"

	agentidp "github.com/sentryagent/agentidp/sdk/go"
	"github.com/sentryagent/agentidp/shared/command"
)

// agentFlags are members of an agent that create and update set.
type agentFlags struct {
	email, kind, version, owner, env, metadata, jwks, jwksURI string
	capabilities, more, less                                  []string
}

func (f *agentFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.email, "email", "", "its name: unique in the organization")
	cmd.Flags().StringVar(&f.kind, "type", "", "screener, classifier, orchestrator, extractor, summarizer, router, monitor, custom, administrator or sidecar")
	cmd.Flags().StringVar(&f.version, "agent-version", "", "its semantic version")
	cmd.Flags().StringVar(&f.owner, "owner", "", "who answers for it")
	cmd.Flags().StringVar(&f.env, "env", "", "development, staging or production")
	cmd.Flags().StringSliceVar(&f.capabilities, "capabilities", nil, "all its capabilities, as notes:read,notes:write")
	cmd.Flags().StringVar(&f.metadata, "metadata", "", "JSON object; null clears")
	cmd.Flags().StringVar(&f.jwks, "jwks-file", "", "JWK Set of its private_key_jwt credentials")
	cmd.Flags().StringVar(&f.jwksURI, "jwks-uri", "", "where it publishes that instead")
}

func (f *agentFlags) documents() (metadata, jwks json.RawMessage, err error) {
	if f.metadata != "" {
		metadata = json.RawMessage(f.metadata)
	}
	if f.jwks != "" {
		if jwks, err = os.ReadFile(f.jwks); err != nil {
			return nil, nil, fmt.Errorf("key set: %w", err)
		}
	}
	for name, document := range map[string]json.RawMessage{"--metadata": metadata, "--jwks-file": jwks} {
		if document != nil && !json.Valid(document) {
			return nil, nil, fmt.Errorf("%w: %s must be JSON", command.ErrUsage, name)
		}
	}
	return metadata, jwks, nil
}

func (p program) agentsCreate() *cobra.Command {
	f := agentFlags{}
	var organization string
	cmd := p.api(&cobra.Command{
		Use: "create --email EMAIL", Short: "Register an agent", Args: takes(),
		Long: `Create registers an agent. It has no credential yet: "agentidp credentials create" makes one.`,
		Example: `  agentidp agents create --email screener-001@example.com --type screener --capabilities notes:read
  agentidp agents create --email notes-sidecar@example.com --type sidecar --capabilities revocations:read,decisions:write`,
	}, briefly, func(ctx context.Context, s *session, _ []string) error {
		if f.email == "" {
			return fmt.Errorf("%w: --email is required", command.ErrUsage)
		}
		metadata, jwks, err := f.documents()
		if err != nil {
			return err
		}
		agent, err := s.CreateAgent(ctx, agentidp.NewAgent{
			OrganizationID: organization, Email: f.email, AgentType: agentidp.AgentType(f.kind), Version: f.version, Capabilities: f.capabilities,
			Owner: f.owner, DeploymentEnv: agentidp.DeploymentEnv(f.env), Metadata: metadata, JWKS: jwks, JWKSURI: f.jwksURI,
		})
		if err != nil {
			return err
		}
		fmt.Fprintf(s.Stderr, "it has no credential yet: agentidp credentials create %s\n", plain(agent.Email))
		return s.showAgent(agent)
	})
	f.add(cmd)
	for name, value := range map[string]string{"type": "custom", "agent-version": "1.0.0", "owner": "unassigned", "env": "development"} {
		flag := cmd.Flags().Lookup(name)
		flag.DefValue = value
		_ = flag.Value.Set(value) // a string
	}
	cmd.Flags().StringVar(&organization, "organization", "", "another organization, for the operator")
	return cmd
}

func (p program) agentsUpdate() *cobra.Command {
	f := agentFlags{}
	cmd := p.api(&cobra.Command{
		Use: "update AGENT", Short: "Change an agent", Args: takes("AGENT"),
		Long: `Update changes what its flags name. Removing a capability kills the agent's live tokens; a
token that is out does not grow when one is added.`,
		Example: "  agentidp agents update screener-001@example.com --add-capability notes:write\n  agentidp agents update 3f2b8c1e-… --metadata '{\"team\":\"talent\"}'",
	}, briefly, func(ctx context.Context, s *session, args []string) error {
		id, err := s.agentID(ctx, args[0])
		if err != nil {
			return err
		}
		patch, err := s.patch(ctx, id, &f)
		if err != nil {
			return err
		}
		agent, err := s.UpdateAgent(ctx, id, patch)
		if err != nil {
			return err
		}
		return s.showAgent(agent)
	})
	f.add(cmd)
	cmd.Flags().StringSliceVar(&f.more, "add-capability", nil, "capability to add to those it has")
	cmd.Flags().StringSliceVar(&f.less, "remove-capability", nil, "capability to take away")
	return p.completesAgents(cmd)
}

func (s *session) patch(ctx context.Context, id string, f *agentFlags) (patch agentidp.AgentPatch, err error) {
	patch = agentidp.AgentPatch{
		Email: f.email, AgentType: agentidp.AgentType(f.kind), Version: f.version, Owner: f.owner, DeploymentEnv: agentidp.DeploymentEnv(f.env),
		Capabilities: f.capabilities,
	}
	if patch.Metadata, patch.JWKS, err = f.documents(); err != nil {
		return patch, err
	}
	switch f.jwksURI {
	case "":
	case "null":
		patch.JWKSURI = json.RawMessage("null")
	default:
		if patch.JWKSURI, err = json.Marshal(f.jwksURI); err != nil {
			return patch, err
		}
	}
	if len(f.more)+len(f.less) == 0 {
		return patch, nil
	}
	if f.capabilities != nil {
		return patch, fmt.Errorf("%w: --capabilities says all of them: leave out --add-capability and --remove-capability", command.ErrUsage)
	}
	agent, err := s.Agent(ctx, id)
	if err != nil {
		return patch, err
	}
	patch.Capabilities = slices.DeleteFunc(append(slices.Clone(agent.Capabilities), f.more...), func(c string) bool { return slices.Contains(f.less, c) })
	slices.Sort(patch.Capabilities)
	patch.Capabilities = slices.Compact(patch.Capabilities)
	return patch, nil
}
