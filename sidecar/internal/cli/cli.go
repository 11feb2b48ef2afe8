// Package cli is the agentidp-sidecar command.
package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/sentryagent/agentidp/shared/command"
	"github.com/sentryagent/agentidp/shared/config"
	"github.com/sentryagent/agentidp/sidecar/internal/app"
)

// program is one run of the command line.
type program struct {
	command.Process
	settings command.Settings[app.Config]
}

// Run runs one command and returns the exit status. ctx ends a server.
func Run(ctx context.Context, process command.Process) int {
	p := program{process, command.Settings[app.Config]{Process: process, Prefix: config.PrefixSidecar, Default: app.Default}}
	root := &cobra.Command{
		Use:   "agentidp-sidecar",
		Short: "Reverse proxy that lets AI agents reach one API by their AgentIdP tokens",
		Long: `Agentidp-sidecar stands in front of one API. It verifies the access token of every
request locally, asks the policy whether the request may pass, tells the API who
calls, and reports each decision to the IdP's audit log. With the IdP away it serves on.

Settings come from flags, the environment (AGENTIDP_SIDECAR_UPSTREAM is --upstream), a
YAML file (--config, key upstream) and defaults, in this order. The secret comes from
AGENTIDP_SIDECAR_CLIENT_SECRET or from the file that AGENTIDP_SIDECAR_CLIENT_SECRET_FILE names.`,
		Example: `  agentidp-sidecar serve --upstream http://127.0.0.1:8090 --routes routes.yaml \
      --issuer https://idp.example.com --audience https://notes.example.com`,
	}
	root.AddCommand(p.serve(), p.checkConfig(), p.health(), p.policy())
	return command.Run(ctx, process, root)
}

func (p program) serve() *cobra.Command {
	return p.settings.Command("serve", "Run the sidecar", `Serve runs the sidecar until SIGINT or SIGTERM; requests in flight then finish, and
decisions are shipped for a few seconds more. Routes and the folder of the policy are read again when
their files change, and by SIGHUP; a file that does not load, or a policy that fails its own tests,
leaves the old one in force.

GET /ready on the admin address answers 200 once requests can be decided: that takes the
IdP at the very first start, and what DATA_DIR keeps afterwards.`,
		func(cmd *cobra.Command, cfg app.Config) error {
			logger, err := cfg.Logger(p.Stderr)
			if err != nil {
				return err
			}
			a, err := app.New(cmd.Context(), cfg, app.Options{Logger: logger})
			switch {
			case err != nil && cmd.Context().Err() != nil:
				logger.Info("stopped before it was ready", "error", err)
				return nil
			case err != nil:
				return err
			}
			defer command.OnHangup(cmd.Context(), a.Reload)()
			command.SpareProcessor()
			return a.Run(cmd.Context())
		})
}

func (p program) checkConfig() *cobra.Command {
	return p.settings.Command("check-config", "Check settings, routes and policy, and print the settings", `Check-config loads settings, routes and policy as serve would, runs the policy's own
tests, lists every problem at once, and prints the settings in effect with the secret masked.
It opens no port, does not touch DATA_DIR and calls nobody.`,
		func(cmd *cobra.Command, cfg app.Config) error {
			if err := cfg.CheckPolicy(cmd.Context()); err != nil {
				return err
			}
			return p.settings.Print(cfg)
		})
}

// The admin address never speaks TLS. Live, not ready: a sidecar without its
// IdP must not be restarted for that.
func (p program) health() *cobra.Command {
	return command.Health(p.Process, command.Probe{Addr: config.PrefixSidecar + "ADMIN_ADDR", Default: app.Default().AdminAddr, Path: "/health"})
}
