// Package cli is the agentidp command: one file for each group of commands.
package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sentryagent/agentidp/idp/internal/app"
	"github.com/sentryagent/agentidp/shared/command"
	"github.com/sentryagent/agentidp/shared/config"
)

// program is one run of the command line.
type program struct {
	command.Process
	settings command.Settings[app.Config]
}

// Run runs one command and returns the exit status. ctx ends a server.
func Run(ctx context.Context, process command.Process) int {
	p := program{process, command.Settings[app.Config]{Process: process, Prefix: config.PrefixIdP, Default: app.Default}}
	root := &cobra.Command{
		Use:   "agentidp",
		Short: "Identity provider for AI agents",
		Long: `Agentidp is an identity provider for AI agents: they register, authenticate with
their own credential, get short-lived RS256 tokens, and everything is audited.

Settings come from flags, the environment (AGENTIDP_DATA_DIR is --data-dir), a YAML
file (--config) and defaults, in this order. Without any of them
"agentidp serve" runs on loopback and keeps its data in ./data.`,
	}
	root.AddCommand(p.serve(), p.checkConfig(), p.keys(), p.audit(), p.bootstrap(), p.migrate(), p.backup(), p.restore(), p.migrateData(), p.credentials(app.ImportCredentials))
	return command.Run(ctx, process, root)
}

// offline is the flag of commands that open the store themselves.
func offline(cmd *cobra.Command) *cobra.Command {
	yes := cmd.Flags().Bool("offline", false, "open the store in the data folder; the IdP must not be running on it")
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !*yes {
			return fmt.Errorf("%w: %s opens the store itself: stop the IdP and say --offline", command.ErrUsage, cmd.CommandPath())
		}
		return run(cmd, args)
	}
	return cmd
}
