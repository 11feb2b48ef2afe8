package cli

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/app"
	"github.com/sentryagent/agentidp/shared/command"
)

func (p program) migrate() *cobra.Command {
	// whoever migrates needs no issuer, and must not need the master key
	p.settings = p.settings.Concerning("data_dir", "database_url", "database_direct_url")
	return command.Group("migrate", "The database schema", p.migrateUp(), p.migrateStatus())
}

func (p program) migrateUp() *cobra.Command {
	return p.settings.Command("up", "Bring the database schema up to date", `Up applies every pending migration, each in a transaction of its own, and prints it. Run it
with the role that owns the tables (DATABASE_URL, or DATABASE_DIRECT_URL past a
pooler); replicas may go on serving and may run it too: one of them does the work.
Without DATABASE_URL it migrates the store in the data folder, which no IdP may use
meanwhile.`,
		func(cmd *cobra.Command, cfg app.Config) error {
			applied := 0
			err := app.Migrate(cmd.Context(), cfg, func(step string) {
				applied++
				fmt.Fprintln(p.Stdout, "applied", step)
			})
			if err != nil {
				return err
			}
			if applied == 0 {
				fmt.Fprintln(p.Stdout, "the schema is up to date")
			}
			return nil
		})
}

func (p program) migrateStatus() *cobra.Command {
	return p.settings.Command("status", "List the migrations, applied and pending", `Status lists every migration that this program knows and when it was applied. Exit status 0:
the schema is up to date, 1: it is not.`,
		func(cmd *cobra.Command, cfg app.Config) error {
			steps, err := app.Migrations(cmd.Context(), cfg)
			if err != nil {
				return err
			}
			table := tabwriter.NewWriter(p.Stdout, 0, 8, 2, ' ', 0)
			fmt.Fprintln(table, "VERSION\tAPPLIED\tNAME")
			for _, step := range steps {
				at := "pending"
				if !step.AppliedAt.IsZero() {
					at = step.AppliedAt.Format(idp.TimeLayout)
				}
				fmt.Fprintf(table, "%d\t%s\t%s\n", step.Version, at, step.Name)
			}
			if err := table.Flush(); err != nil {
				return err
			}
			return app.Pending(steps)
		})
}
