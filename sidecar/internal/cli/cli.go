// Package cli is the agentidp-sidecar command.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/sentryagent/agentidp/shared/config"
	"github.com/sentryagent/agentidp/shared/obs"
	"github.com/sentryagent/agentidp/sidecar/internal/app"
)

// Process is what a command line runs in.
type Process struct {
	Args    []string // without the program's name
	Environ []string // NAME=value
	Stdout  io.Writer
	Stderr  io.Writer
}

// Exit statuses.
const (
	exitOK     = 0
	exitFailed = 1 // the command did not do what it should
	exitUsage  = 2 // the command line or the configuration is wrong
)

// errUsage marks errors that are the caller's way of calling.
var errUsage = errors.New("usage")

// Run runs one command and returns the exit status. ctx ends a server.
func Run(ctx context.Context, p Process) int {
	root := p.root()
	root.SetArgs(p.Args)
	root.SetOut(p.Stdout)
	root.SetErr(p.Stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	fmt.Fprintln(p.Stderr, "agentidp-sidecar:", err)
	var problems *config.Problems
	if errors.As(err, &problems) || errors.Is(err, errUsage) {
		return exitUsage
	}
	return exitFailed
}

func (p Process) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "agentidp-sidecar",
		Short: "Reverse proxy that lets AI agents reach one API by their AgentIdP tokens",
		Long: `Agentidp-sidecar stands in front of one API. It verifies the access token of every
request locally, asks the policy whether the request may pass, tells the API who
calls, and reports each decision to the IdP's audit log. With the IdP away it serves on.

Settings come from flags, the environment (AGENTIDP_SIDECAR_UPSTREAM is --upstream), a
YAML file (--config, key upstream) and defaults, in this order. The secret comes from
AGENTIDP_SIDECAR_CLIENT_SECRET or from the file that AGENTIDP_SIDECAR_CLIENT_SECRET_FILE names.`,
		Example: `  agentidp-sidecar serve --upstream http://127.0.0.1:8090 --routes routes.yaml \
      --issuer https://idp.example.com --audience https://notes.example.com`,
		Version:       obs.ReadBuild().String(),
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("%w: unknown command %q for %q", errUsage, args[0], cmd.CommandPath())
			}
			return cmd.Help()
		},
	}
	root.SetVersionTemplate("agentidp-sidecar {{.Version}}\n")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return fmt.Errorf("%w: %w", errUsage, err) })
	root.AddCommand(p.serve(), p.checkConfig())
	return root
}

// command makes a command that loads the configuration before it runs.
func (p Process) command(use, short, long string, run func(cmd *cobra.Command, cfg app.Config) error) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Long: long, Args: noArguments}
	defaults := app.Default()
	config.Flags(cmd.Flags(), &defaults)
	file := cmd.Flags().String("config", "", "YAML file of settings")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg := app.Default()
		err := config.Load(&cfg, config.Options{
			File: *file, Prefix: config.PrefixSidecar, Environ: p.Environ, Flags: cmd.Flags(),
			Warn: func(text string) { fmt.Fprintln(p.Stderr, "agentidp-sidecar: warning:", text) },
		})
		if err != nil {
			return err
		}
		return run(cmd, cfg)
	}
	return cmd
}

func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%w: %s takes no arguments, got %q", errUsage, cmd.CommandPath(), args)
	}
	return nil
}
