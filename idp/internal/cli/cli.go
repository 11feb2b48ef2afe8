// Package cli is the agentidp command: one file for each group of commands.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

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
	return command.Run(ctx, process, Root(process))
}

// The groups of commands in the help.
const (
	groupAPI    = "api"
	groupServer = "server"
)

// Root is the whole command line.
func Root(process command.Process) *cobra.Command {
	server := process
	server.Environ = slices.DeleteFunc(slices.Clone(process.Environ), func(pair string) bool {
		name, _, _ := strings.Cut(pair, "=")
		return slices.Contains(clientEnvironment, name)
	})
	p := program{process, command.Settings[app.Config]{Process: server, Prefix: config.PrefixIdP, Default: app.Default}}
	root := &cobra.Command{
		Use:     "agentidp",
		Version: "signing by " + app.SigningBackend(process.Environ),
		Short:   "Identity provider for AI agents",
		Long: `Agentidp is an identity provider for AI agents: they register, authenticate with
their own credential, get short-lived RS256 tokens, and everything is audited.

"agentidp serve" runs it. Settings of the server come from flags, the environment
(AGENTIDP_DATA_DIR is --data-dir), a YAML file (--config) and defaults, in this order.
Without any of them it runs on loopback and keeps its data in ./data.

The other commands call a running one over its API, with the credential that
"agentidp login" keeps, or AGENTIDP_URL, AGENTIDP_CLIENT_ID and
AGENTIDP_CLIENT_SECRET(_FILE). With -o json they print exactly the API's objects.
Commands that open the store themselves want --offline.

Exit status: 0 done, 1 failed, 2 wrong use, 3 not found, 4 not allowed, 5 unavailable:
try again.`,
	}
	root.AddGroup(&cobra.Group{ID: groupAPI, Title: "Over the API:"}, &cobra.Group{ID: groupServer, Title: "The server and its store:"})
	for group, commands := range map[string][]*cobra.Command{
		groupAPI: {
			p.login(), p.logout(), p.profilesGroup(), p.agents(), p.credentials(app.ImportCredentials), p.token(), p.audit(), p.keys(),
			p.revoke(), p.sidecars(), p.policies(), p.organizations(), p.doctor(),
		},
		groupServer: {p.serve(), p.checkConfig(), p.health(), p.bootstrap(), p.migrate(), p.backup(), p.restore(), p.migrateData()},
	} {
		for _, c := range commands {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	return root
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

// openStore opens a store that is there. Whoever reads or mends one in the wrong
// folder would else be given a new one, and told that its log is damaged.
func openStore(ctx context.Context, cfg app.Config) (*app.Offline, error) {
	if err := storeThere(cfg); err != nil {
		return nil, err
	}
	return app.OpenOffline(ctx, cfg)
}

func storeThere(cfg app.Config) error {
	if cfg.DatabaseURL == "" {
		if _, err := os.Stat(cfg.StorePath()); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w: there is no store in %s: --data-dir names the folder that \"agentidp serve\" keeps its data in", command.ErrUsage, cfg.DataDir)
		}
	}
	return nil
}

// either makes a command on the store, which it is with --offline, one that
// calls the API without. The settings are flags of the first alone.
func (p program) either(cmd *cobra.Command, timeout time.Duration, run func(context.Context, *session, []string) error) *cobra.Command {
	onStore := cmd.RunE
	settings := pflag.NewFlagSet("settings", pflag.ContinueOnError)
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		f.Hidden = true
		settings.AddFlag(f)
	})
	p.api(cmd, timeout, run)
	overAPI := cmd.RunE
	yes := cmd.Flags().Bool("offline", false, "open the store in the data folder instead; the IdP must not be running on it, and every setting of serve is a flag")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *yes {
			return onStore(cmd, args)
		}
		var wrong error
		settings.VisitAll(func(f *pflag.Flag) {
			if f.Changed {
				wrong = fmt.Errorf("%w: --%s is for the store: say --offline too", command.ErrUsage, f.Name)
			}
		})
		if wrong != nil {
			return wrong
		}
		return overAPI(cmd, args)
	}
	return cmd
}
