package cli

import (
	"errors"
	"fmt"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/app"
	"github.com/sentryagent/agentidp/shared/command"
)

func (p program) keys() *cobra.Command {
	return command.Group("keys", "Signing keys", p.keysList(), p.keysImport())
}

func (p program) keysList() *cobra.Command {
	return offline(p.settings.Command("list", "List the signing keys", "List prints every signing key: id, status, when it was made.",
		func(cmd *cobra.Command, cfg app.Config) (err error) {
			store, err := app.OpenOffline(cmd.Context(), cfg)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, store.Close()) }()
			keys, err := store.Keys(cmd.Context())
			if err != nil {
				return err
			}
			table := tabwriter.NewWriter(p.Stdout, 0, 8, 2, ' ', 0)
			fmt.Fprintln(table, "KID\tSTATUS\tCREATED")
			for _, k := range keys {
				fmt.Fprintf(table, "%s\t%s\t%s\n", k.ID, k.Status, k.CreatedAt.Format(idp.TimeLayout))
			}
			return table.Flush()
		}))
}

func (p program) keysImport() *cobra.Command {
	var file string
	cmd := offline(p.settings.Command("import", "Import an RSA private key as the signing key", `Import takes a PEM file with an RSA private key of 2048 to 4096 bits (PKCS#1 or PKCS#8). It becomes
the key that signs; the one before stays published until its tokens have expired.`,
		func(cmd *cobra.Command, cfg app.Config) (err error) {
			if file == "" {
				return fmt.Errorf("%w: --pem FILE is required", command.ErrUsage)
			}
			pem, err := os.ReadFile(file)
			if err != nil {
				return fmt.Errorf("read the key: %w", err)
			}
			store, err := app.OpenOffline(cmd.Context(), cfg)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, store.Close()) }()
			kid, err := store.ImportKey(cmd.Context(), pem)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(p.Stdout, kid)
			return err
		}))
	cmd.Flags().StringVar(&file, "pem", "", "PEM file of the private key")
	return cmd
}
