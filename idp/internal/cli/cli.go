// Package cli is the agentidp command: one file for each group of commands.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/sentryagent/agentidp/idp/internal/app"
	"github.com/sentryagent/agentidp/shared/config"
	"github.com/sentryagent/agentidp/shared/obs"
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
	var problems *config.Problems
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &problems), errors.Is(err, errUsage):
		fmt.Fprintln(p.Stderr, "agentidp:", err)
		return exitUsage
	default:
		fmt.Fprintln(p.Stderr, "agentidp:", err)
		return exitFailed
	}
}

func (p Process) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "agentidp",
		Short: "Identity provider for AI agents",
		Long: `Agentidp is an identity provider for AI agents: they register, authenticate with
their own credential, get short-lived RS256 tokens, and everything is audited.

Settings come from flags, the environment (AGENTIDP_DATA_DIR is --data-dir), a YAML
file (--config) and defaults, in this order. Without any of them
"agentidp serve" runs on loopback and keeps its data in ./data.`,
		Version:       obs.ReadBuild().String(),
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetVersionTemplate("agentidp {{.Version}}\n")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return fmt.Errorf("%w: %w", errUsage, err) })
	root.AddCommand(p.serve(), p.checkConfig(), p.keys(), p.audit(), p.bootstrap())
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
			File: *file, Prefix: config.PrefixIdP, Environ: p.Environ, Flags: cmd.Flags(),
			Warn: func(text string) { fmt.Fprintln(p.Stderr, "agentidp: warning:", text) },
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

// group makes a command that only holds others.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, RunE: func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return fmt.Errorf("%w: unknown command %q for %q", errUsage, args[0], cmd.CommandPath())
		}
		return cmd.Help()
	}}
	cmd.AddCommand(commands...)
	return cmd
}

// offline is the flag of commands that open the store themselves.
func offline(cmd *cobra.Command) *cobra.Command {
	yes := cmd.Flags().Bool("offline", false, "open the store in the data folder; the IdP must not be running on it")
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !*yes {
			return fmt.Errorf("%w: %s opens the store itself: stop the IdP and say --offline", errUsage, cmd.CommandPath())
		}
		return run(cmd, args)
	}
	return cmd
}
