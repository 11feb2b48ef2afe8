package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sentryagent/agentidp/idp/internal/app"
	"github.com/sentryagent/agentidp/idp/internal/store/sqlite"
	"github.com/sentryagent/agentidp/shared/command"
)

func (p program) restore() *cobra.Command {
	var from string
	var declare bool
	cmd := p.settings.Command("restore", "Put a backup in the place of the store, or declare that it was", `Restore --from FILE puts a backup in the place of the embedded store, on which no IdP may run.
It verifies the backup's whole audit log with the master key first. What lay there moves,
with audit.checkpoint, to a folder before-restore-… in the data folder.

Restore --declare is for a store that was put back by other means, as a point-in-time
recovery of PostgreSQL. Stop every replica first, and run it once.

What was revoked after the backup is not known any more, so both make invalid whatever is
out: every organization's epoch rises, every signing key is revoked and another made, and
sidecars take a new snapshot of revocations. Agents simply get new tokens. The event
store.restored says so in the audit log. What you have to do by hand is printed.`,
		func(cmd *cobra.Command, cfg app.Config) error {
			if (from == "") == !declare {
				return fmt.Errorf("%w: either --from FILE or --declare", command.ErrUsage)
			}
			var done app.Restored
			var err error
			if declare {
				done, err = app.DeclareRestored(cmd.Context(), cfg)
			} else {
				done, err = app.Restore(cmd.Context(), cfg, from)
			}
			if errors.Is(err, sqlite.ErrInUse) {
				return fmt.Errorf("stop the IdP first: %w", err)
			}
			if err != nil {
				return err
			}
			return p.restored(done)
		})
	cmd.Flags().StringVar(&from, "from", "", "file that agentidp backup wrote")
	cmd.Flags().BoolVar(&declare, "declare", false, "the store was put back by other means")
	return cmd
}

func (p program) restored(done app.Restored) error {
	fmt.Fprintf(p.Stdout, "restored: %d events, root %s\n", done.Events, done.Root)
	switch {
	case done.Known == 0:
		fmt.Fprintln(p.Stdout, "lost: not known, there was no audit.checkpoint beside the store")
	case done.Lost() == 0:
		fmt.Fprintf(p.Stdout, "lost: nothing that audit.checkpoint knows of, which covers %d events\n", done.Known)
	default:
		fmt.Fprintf(p.Stdout, "lost: at least %d events, from %d to %d\n", done.Lost(), done.Events, done.Known-1)
	}
	if done.Aside != "" {
		fmt.Fprintf(p.Stdout, "what lay there is in %s\n", done.Aside)
	}
	_, err := fmt.Fprintf(p.Stdout, `all tokens of %d organizations are invalid, another key signs

Not known any more is what happened since the backup. Do it again, by hand:
  credentials that were revoked or rotated: their old secrets work again
  agents that were suspended, decommissioned or lost capabilities: they are as they were
  agents, credentials, organizations that were made: they are gone
Client assertions of before now are not taken any more, and new ones in a minute. Counted
tokens and Idempotency-Keys are those of the backup.
`, done.Organizations)
	return err
}
