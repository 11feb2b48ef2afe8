package cli

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	agentidp "github.com/sentryagent/agentidp/sdk/go"
	"github.com/sentryagent/agentidp/shared/command"
)

func (p program) organizations() *cobra.Command {
	return command.Group("organizations", "Organizations, for the operator", p.organizationsList(), p.organizationsGet(), p.organizationsCreate(), p.organizationsUpdate())
}

func (p program) organizationsList() *cobra.Command {
	return p.api(&cobra.Command{
		Use: "list", Short: "List organizations, newest first", Args: takes(),
		Long: "List prints the organizations that the profile may see.", Example: "  agentidp organizations list",
	}, briefly, func(ctx context.Context, s *session, _ []string) error {
		return list(s.out, s.Organizations(ctx), 0, []string{"ORGANIZATION", "NAME", "PLAN", "SECRETS LIVE", "CREATED"}, func(o agentidp.Organization) []string {
			return []string{o.OrganizationID, o.Name, string(o.Plan), age(o.MaxCredentialAge), o.CreatedAt.String()}
		})
	})
}

func age(seconds int64) string {
	if seconds == 0 {
		return "no limit"
	}
	return (time.Duration(seconds) * time.Second).String()
}

func (p program) organizationsGet() *cobra.Command {
	return p.api(&cobra.Command{
		Use: "get ORGANIZATION", Short: "Show one organization", Args: takes("ORGANIZATION"),
		Long: "Get shows an organization, and what it used of its plan.", Example: "  agentidp organizations get acme",
	}, briefly, func(ctx context.Context, s *session, args []string) error {
		o, err := s.Organization(ctx, args[0])
		if err != nil {
			return err
		}
		if s.out.json {
			return s.out.write(o)
		}
		used, err := s.OrganizationUsage(ctx, args[0])
		if err != nil {
			return err
		}
		return s.out.table(nil, append(organizationRows(o),
			[]string{"agents", usedOf(used.AgentsUsed, used.AgentsLimit)}, []string{"tokens in " + used.Month, strconv.FormatInt(used.TokensUsed, 10)}))
	})
}

func (s *session) showOrganization(o agentidp.Organization) error {
	return s.out.object(o, func() [][]string { return organizationRows(o) })
}

func organizationRows(o agentidp.Organization) [][]string {
	return [][]string{
		{"organization", o.OrganizationID}, {"name", o.Name}, {"plan", string(o.Plan)}, {"secrets live", age(o.MaxCredentialAge)},
		{"created", o.CreatedAt.String()}, {"updated", o.UpdatedAt.String()},
	}
}

func (p program) organizationsCreate() *cobra.Command {
	var o agentidp.NewOrganization
	var secretFile string
	cmd := p.api(&cobra.Command{
		Use: "create ORGANIZATION --name NAME", Short: "Make an organization and its administrator", Args: takes("ORGANIZATION"),
		Long:    "Create makes an organization and its administrator, and shows the administrator's secret, this once.",
		Example: "  agentidp organizations create acme --name 'Acme Ltd' --administrator admin@acme.example --secret-file acme.secret",
	}, briefly, func(ctx context.Context, s *session, args []string) error {
		if o.Name == "" {
			return fmt.Errorf("%w: --name is required", command.ErrUsage)
		}
		o.OrganizationID = args[0]
		write, err := secretTo(secretFile)
		if err != nil {
			return err
		}
		created, err := s.CreateOrganization(ctx, o)
		if err == nil && !s.out.json {
			err = s.out.table(nil, append(organizationRows(created.Organization), []string{"administrator", created.Administrator.Email}))
		}
		if s.out.json && err == nil && write == nil {
			return s.out.write(created)
		}
		return s.showSecret(created.Credential, write, err)
	})
	cmd.Flags().StringVar(&o.Name, "name", "", "what people call it")
	cmd.Flags().StringVar((*string)(&o.Plan), "plan", "", "free or custom")
	cmd.Flags().StringVar(&o.AdministratorEmail, "administrator", "", "email of its administrator")
	cmd.Flags().StringVar(&secretFile, "secret-file", "", "write the secret to this new file, mode 0600, and do not show it")
	return cmd
}

func (p program) organizationsUpdate() *cobra.Command {
	var patch agentidp.OrganizationPatch
	var secrets time.Duration
	cmd := &cobra.Command{
		Use: "update ORGANIZATION", Short: "Change an organization", Args: takes("ORGANIZATION"),
		Long:    "Update changes what its flags name.",
		Example: "  agentidp organizations update acme --plan custom --max-credential-age 2160h",
	}
	p.api(cmd, briefly, func(ctx context.Context, s *session, args []string) error {
		if cmd.Flags().Changed("max-credential-age") {
			seconds := int64(secrets / time.Second)
			patch.MaxCredentialAge = &seconds
		}
		o, err := s.UpdateOrganization(ctx, args[0], patch)
		if err != nil {
			return err
		}
		return s.showOrganization(o)
	})
	cmd.Flags().StringVar(&patch.Name, "name", "", "what people call it")
	cmd.Flags().StringVar((*string)(&patch.Plan), "plan", "", "free or custom")
	cmd.Flags().DurationVar(&secrets, "max-credential-age", 0, "how long secrets are good; 0: no limit")
	return cmd
}
