package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sentryagent/agentidp/idp/internal/app"
	"github.com/sentryagent/agentidp/shared/command"
)

func (p program) bootstrap() *cobra.Command {
	return command.Group("bootstrap", "The first administrator", p.bootstrapReset())
}

func (p program) bootstrapReset() *cobra.Command {
	return offline(p.settings.Command("reset", "Give the administrator a new credential after the secret was lost", `Reset gives an active administrator of the operator's organization a new credential, restoring
admin@localhost if there is none, and writes it to admin.json in the data folder. Existing
credentials stay as they are. The reset is audited.`,
		func(cmd *cobra.Command, cfg app.Config) (err error) {
			store, err := openStore(cmd.Context(), cfg)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, store.Close()) }()
			result, err := store.ResetAdministrator(cmd.Context())
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(p.Stdout, "administrator %s (%s)\nclient id     %s\nclient secret %s\nalso written to %s\n",
				result.Administrator.Email, result.Administrator.ID, result.Credential.Credential.ClientID, result.Credential.ClientSecret, cfg.AdminPath())
			return err
		}))
}
