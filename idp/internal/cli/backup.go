package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sentryagent/agentidp/idp/internal/app"
	"github.com/sentryagent/agentidp/shared/command"
)

func (p program) backup() *cobra.Command {
	var out string
	var force bool
	cmd := p.settings.Command("backup", "Copy the embedded store to one file, also while the IdP serves", `Backup writes what the embedded store of the data folder (--data-dir) holds to one file, mode
0600, as one moment saw it. The IdP may serve meanwhile: nothing waits for the copy. The
file appears whole, checked (SQLite's integrity check, the latest signed checkpoint held
against the tree) and on disk, or not at all.

The master key is NOT in it, and without it a backup is of no use: keep master.key (or
AGENTIDP_MASTER_KEY), AGENTIDP_PEPPER and audit.checkpoint as well, each apart from the
backups. A store in PostgreSQL is backed up with PostgreSQL's own tools.`,
		func(cmd *cobra.Command, cfg app.Config) error {
			if out == "" {
				return fmt.Errorf("%w: --out FILE is required", command.ErrUsage)
			}
			held, err := app.Backup(cmd.Context(), cfg, out, app.BackupOptions{Force: force, Progress: p.everyTenth()})
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(p.Stdout, "%s: %d bytes, schema %d\n%d events, root %s\nthe latest checkpoint covers %d events and agrees\nthe master key is not in it: keep %s\n",
				out, held.Bytes, held.Schema, held.Events, held.Root, held.Signed, masterKeyPlace(cfg))
			return err
		})
	cmd.Flags().StringVar(&out, "out", "", "file to write")
	cmd.Flags().BoolVar(&force, "force", false, "replace the file if there is one")
	return cmd
}

// everyTenth shows progress at each tenth of the work.
func (p program) everyTenth() func(done, total int) {
	shown := 0
	return func(done, total int) {
		if tenth := 10 * done / max(total, 1); tenth > shown {
			shown = tenth
			fmt.Fprintf(p.Stderr, "%d of %d pages\n", done, total)
		}
	}
}

func masterKeyPlace(cfg app.Config) string {
	switch {
	case cfg.VaultMasterKey != "":
		return "Vault's own backup too"
	case cfg.MasterKey != "":
		return "AGENTIDP_MASTER_KEY too"
	default:
		return cfg.MasterKeyPath() + " too"
	}
}
