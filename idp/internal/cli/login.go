package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/spf13/cobra"

	agentidp "github.com/sentryagent/agentidp/sdk/go"
	"github.com/sentryagent/agentidp/shared/command"
)

// loginFlags are what login is told.
type loginFlags struct {
	name, url, clientID, secret, secretFile, credentialFile, caFile string
}

func (p program) login() *cobra.Command {
	var f loginFlags
	cmd := &cobra.Command{
		Use: "login", Short: "Keep a credential for the commands that call the API", Args: takes(),
		Long: `Login tries a credential and keeps it as a profile, in profiles.json (mode 0600) under
$XDG_CONFIG_HOME/agentidp or ~/.config/agentidp. The profile becomes the current one.

The secret comes from a hidden prompt, from the standard input, or from a file. Other
programs can see what stands on a command line, so --client-secret is for throwaways.`,
		Example: `  agentidp login --url http://127.0.0.1:8080 --credential-file data/admin.json
  agentidp login --profile prod --url https://idp.example.com --client-id aidp_c_…
  pass show idp | agentidp login --url https://idp.example.com --client-id aidp_c_…`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), 10*briefly) // a person types
			defer cancel()
			return explain(p.logIn(ctx, f))
		},
	}
	cmd.Flags().StringVar(&f.name, "profile", defaultProfile, "name of the profile")
	cmd.Flags().StringVar(&f.url, "url", "", "address of the IdP (AGENTIDP_URL)")
	cmd.Flags().StringVar(&f.clientID, "client-id", "", "client id (AGENTIDP_CLIENT_ID)")
	cmd.Flags().StringVar(&f.secretFile, "secret-file", "", "file of the client secret; - is the standard input; default: a hidden prompt")
	cmd.Flags().StringVar(&f.credentialFile, "credential-file", "", "JSON file with clientId and clientSecret, such as admin.json of the data folder")
	cmd.Flags().StringVar(&f.secret, "client-secret", "", "the secret itself, for others to see")
	cmd.Flags().StringVar(&f.caFile, "ca-file", "", "PEM file of authorities to trust beside the system's")
	return cmd
}

func (p program) logIn(ctx context.Context, f loginFlags) error {
	if !profileName.MatchString(f.name) {
		return fmt.Errorf("%w: --profile must be letters, digits, dots, dashes and underscores", command.ErrUsage)
	}
	all, err := p.profiles()
	if err != nil {
		return err
	}
	c, err := p.credential(ctx, f)
	if err != nil {
		return err
	}
	config, err := c.config()
	if err != nil {
		return err
	}
	if _, err := agentidp.NewClient(config); err != nil {
		return fmt.Errorf("%w: %w", command.ErrUsage, err)
	}
	token, err := config.IssueToken(ctx)
	if err != nil {
		return err
	}
	before := all.Current
	all.Profiles[f.name], all.Current = c, f.name
	if err := all.save(); err != nil {
		return err
	}
	if before != "" && before != f.name {
		fmt.Fprintf(p.Stderr, "%s is the current profile now: \"agentidp profiles use %s\" goes back, --profile %[2]s is for one command\n", f.name, before)
	}
	_, err = fmt.Fprintf(p.Stdout, "logged in to %s as %s, with %s\nprofile %s in %s\n", plain(c.URL), plain(c.ClientID), orNothing(plain(token.Scope)), f.name, all.path)
	return err
}

func orNothing(scope string) string {
	if scope == "" {
		return "no capability"
	}
	return scope
}

// credential collects it from flags, environment, files and the person at the terminal.
func (p program) credential(ctx context.Context, f loginFlags) (c profile, err error) {
	c = profile{URL: f.url, ClientID: f.clientID, ClientSecret: f.secret, CAFile: f.caFile}
	if f.credentialFile != "" {
		var kept struct{ ClientID, ClientSecret string }
		content, err := os.ReadFile(f.credentialFile)
		if err == nil {
			err = json.Unmarshal(content, &kept)
		}
		if err != nil || kept.ClientID == "" || kept.ClientSecret == "" {
			return c, fmt.Errorf("%w: --credential-file must be JSON with clientId and clientSecret: %w", command.ErrUsage, err)
		}
		c.ClientID, c.ClientSecret = kept.ClientID, kept.ClientSecret
	}
	for _, part := range []struct {
		value                *string
		env, question, names string
	}{
		{&c.URL, "AGENTIDP_URL", "URL of the IdP: ", "--url"},
		{&c.ClientID, "AGENTIDP_CLIENT_ID", "Client id: ", "--client-id"},
	} {
		if *part.value == "" {
			*part.value = p.env(part.env)
		}
		if *part.value == "" && p.Stdin != nil && isTerminal(p.Stdin) {
			if *part.value, err = p.ask(ctx, part.question, false); err != nil {
				return c, err
			}
		}
		if *part.value == "" {
			return c, fmt.Errorf("%w: %s is missing", command.ErrUsage, part.names)
		}
	}
	if c.ClientSecret == "" {
		c.ClientSecret, err = p.secretFrom(ctx, f.secretFile, "Client secret: ")
	}
	return c, err
}

func (p program) logout() *cobra.Command {
	var name string
	var everything bool
	cmd := &cobra.Command{
		Use: "logout", Short: "Forget a profile", Args: takes(),
		Long:    `Logout removes a profile, by default the current one. Its credential stays good: "agentidp credentials revoke" ends it.`,
		Example: "  agentidp logout\n  agentidp logout --profile prod\n  agentidp logout --all",
		RunE: func(*cobra.Command, []string) error {
			all, err := p.profiles()
			if err != nil {
				return err
			}
			if everything {
				all.Profiles, all.Current = map[string]profile{}, ""
				return all.save()
			}
			if name == "" {
				name = all.Current
			}
			if _, found := all.Profiles[name]; !found {
				return fmt.Errorf("%w: there is no profile %q", command.ErrUsage, name)
			}
			delete(all.Profiles, name)
			if all.Current == name {
				all.Current = ""
			}
			if err := all.save(); err != nil {
				return err
			}
			_, err = fmt.Fprintf(p.Stdout, "profile %s is forgotten\n", name)
			return err
		},
	}
	cmd.Flags().StringVar(&name, "profile", "", "profile to forget; default: the current one")
	cmd.Flags().BoolVar(&everything, "all", false, "forget all profiles")
	return cmd
}

func (p program) profilesGroup() *cobra.Command {
	show := &cobra.Command{
		Use: "list", Short: "List the profiles", Args: takes(), Long: "List prints the profiles, never a secret.", Example: "  agentidp profiles list",
		RunE: func(*cobra.Command, []string) error {
			all, err := p.profiles()
			if err != nil {
				return err
			}
			var rows [][]string
			for _, name := range slices.Sorted(maps.Keys(all.Profiles)) {
				mark := ""
				if name == all.Current {
					mark = "current"
				}
				rows = append(rows, []string{name, all.Profiles[name].URL, all.Profiles[name].ClientID, mark})
			}
			return p.output(false).table([]string{"PROFILE", "URL", "CLIENT ID", "CURRENT"}, rows)
		},
	}
	use := &cobra.Command{
		Use: "use PROFILE", Short: "Make a profile the current one", Args: takes("PROFILE"), Example: "  agentidp profiles use prod",
		RunE: func(_ *cobra.Command, args []string) error {
			all, err := p.profiles()
			if err != nil {
				return err
			}
			if _, found := all.Profiles[args[0]]; !found {
				return fmt.Errorf("%w: there is no profile %q", command.ErrUsage, args[0])
			}
			all.Current = args[0]
			return all.save()
		},
	}
	return command.Group("profiles", "What login keeps", show, use)
}
