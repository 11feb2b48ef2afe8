package cli

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/sentryagent/agentidp/idp/internal/app"
	"github.com/sentryagent/agentidp/shared/command"
	"github.com/sentryagent/agentidp/shared/config"
)

func (p program) serve() *cobra.Command {
	return p.settings.Command("serve", "Run the identity provider", `Serve runs the identity provider until SIGINT or SIGTERM. SIGHUP reloads the policy; a
policy that does not compile or fails its own tests is refused and the old one stays.`,
		func(cmd *cobra.Command, cfg app.Config) error {
			logger, err := cfg.Logger(p.Stderr)
			if err != nil {
				return err
			}
			a, err := app.New(cmd.Context(), cfg, app.Options{Logger: logger, Notice: p.Stderr})
			switch {
			case err != nil && cmd.Context().Err() != nil:
				logger.Info("stopped before it was ready", "error", err)
				return nil
			case err != nil:
				return err
			}
			defer command.OnHangup(cmd.Context(), a.Reload)()
			// Opening took several times the memory that serving does. The second
			// collection frees what pools kept at the first, and gives it all back.
			runtime.GC()
			debug.FreeOSMemory()
			command.SpareProcessor()
			return a.Run(cmd.Context())
		})
}

func (p program) checkConfig() *cobra.Command {
	return p.settings.Command("check-config", "Check every setting and print the result", `Check-config loads the configuration as serve would, lists every problem at once, and
prints the settings in effect with secrets masked.`,
		func(_ *cobra.Command, cfg app.Config) error { return p.settings.Print(cfg) })
}

func (p program) health() *cobra.Command {
	return command.Health(p.Process, command.Probe{Addr: config.PrefixIdP + "ADDR", Default: app.Default().Addr, Cert: config.PrefixIdP + "TLS_CERT", Path: "/health"})
}
