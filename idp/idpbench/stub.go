package idpbench

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/app"
	"github.com/sentryagent/agentidp/idp/internal/auditlog"
	"github.com/sentryagent/agentidp/idp/internal/grants"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/command"
	"github.com/sentryagent/agentidp/shared/config"
)

// Run is `agentidp serve`, with the same settings, of an IdP that admits and
// records no token: what issuance costs without its audit log.
func Run(ctx context.Context, process command.Process) int {
	settings := command.Settings[app.Config]{Process: process, Prefix: config.PrefixIdP, Default: app.Default}
	root := &cobra.Command{Use: "idpbench"}
	root.AddCommand(settings.Command("serve", "Run an IdP that records no token", "", func(cmd *cobra.Command, cfg app.Config) error {
		logger, err := cfg.Logger(process.Stderr)
		if err != nil {
			return err
		}
		a, err := app.New(cmd.Context(), cfg, app.Options{Logger: logger, GrantLog: func(log grants.Log) grants.Log { return stub{log} }})
		if err != nil {
			return err
		}
		return a.Run(cmd.Context())
	}))
	return command.Run(ctx, process, root)
}

// stub admits every token at once, and writes nothing of it.
type stub struct{ grants.Log }

func (stub) Admit(_ context.Context, _ store.Admission, _ idp.Event, meanwhile auditlog.Meanwhile) (store.AdmissionResult, error) {
	meanwhile(func() bool { return true })
	return store.Admitted, nil
}
