package cli

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sentryagent/agentidp/idp/internal/app"
	"github.com/sentryagent/agentidp/idp/internal/store/sqlite"
	"github.com/sentryagent/agentidp/shared/command"
)

func (p program) migrateData() *cobra.Command {
	var from, to string
	cmd := p.settings.Command("migrate-data", "Move the embedded store to PostgreSQL", `Migrate-data copies everything in the embedded store of the data folder (--data-dir), on which
no IdP may run, to the database that DATABASE_URL names (DATABASE_DIRECT_URL, past a
pooler and as the role that owns the tables). That must be migrated (agentidp migrate up)
and empty.

Ids, secrets, keys, revocations and the audit log stay what they are: the same events, the
same bytes, the same tree, the same signed checkpoints. Tokens that are out stay good, and
sidecars notice nothing. All is one transaction, and it commits only after the whole log
that it made was verified. The source is not changed.

The database needs the master key of the data folder:

    DATABASE_URL=… AGENTIDP_MASTER_KEY_FILE=data/master.key agentidp migrate-data --from sqlite --to postgres

and so does every replica that serves from it, with AGENTIDP_PEPPER if there is one. Do not
start the IdP on the data folder's own store again.`,
		func(cmd *cobra.Command, cfg app.Config) error {
			if from != "sqlite" || to != "postgres" {
				return fmt.Errorf("%w: --from sqlite --to postgres is what can be moved", command.ErrUsage)
			}
			moved, err := app.MoveToPostgres(cmd.Context(), cfg, p.rowsPerSecond())
			if errors.Is(err, sqlite.ErrInUse) {
				return fmt.Errorf("stop the IdP first: %w", err)
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(p.Stdout, "source: %d events, root %s\ntarget: %d events, root %s\n%d signed checkpoints agree, the last one covers %d events\nmoved in %s; serve from the database with the same master key, and not from %s any more\n",
				moved.Target.Events, moved.Source, moved.Target.Events, moved.Target.Root, moved.Target.Checkpoints, moved.Target.Signed, moved.Took.Round(10*time.Millisecond), cfg.StorePath())
			return err
		})
	cmd.Flags().StringVar(&from, "from", "", "sqlite")
	cmd.Flags().StringVar(&to, "to", "", "postgres")
	return cmd
}

// rowsPerSecond shows how each table comes along, about once a second.
func (p program) rowsPerSecond() app.MoveProgress {
	var table string
	var began, shown time.Time
	return func(name string, rows int64) {
		now := time.Now()
		if name != table {
			table, began, shown = name, now, now
		}
		if took := now.Sub(began); now.Sub(shown) >= time.Second {
			shown = now
			fmt.Fprintf(p.Stderr, "%s: %d rows, %.0f rows/s\n", name, rows, float64(rows)/took.Seconds())
		}
	}
}
