// Package command is what the command lines of both programs have in common:
// settings before every command, exit statuses, reload on SIGHUP.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sentryagent/agentidp/shared/config"
	"github.com/sentryagent/agentidp/shared/obs"
)

// Process is what a command line runs in.
type Process struct {
	Args    []string // without the program's name
	Environ []string // NAME=value
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
}

// Current is the running process.
func Current() Process {
	return Process{Args: os.Args[1:], Environ: os.Environ(), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
}

// Exit statuses.
const (
	ExitOK     = 0
	ExitFailed = 1 // the command did not do what it should
	ExitUsage  = 2 // the command line or the configuration is wrong
)

// ErrUsage marks errors that are the caller's way of calling.
var ErrUsage = errors.New("usage")

// Exit is implemented by errors that have an exit status of their own.
type Exit interface {
	error
	ExitStatus() int
}

// Main runs a program with its process's arguments until SIGINT or SIGTERM,
// and ends the process with the program's exit status.
func Main(run func(context.Context, Process) int) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, Current())
	stop()
	os.Exit(status)
}

// Run runs the command that the arguments name and returns the exit status.
// What root has as its version, --version tells behind the build's.
func Run(ctx context.Context, p Process, root *cobra.Command) int {
	more := ""
	if root.Version != "" {
		more = ", " + root.Version
	}
	version := obs.ReadBuild().String() + more
	// Not cobra's own: its template reaches every exported method of a program by
	// name, so that the linker could leave none out, and both would be half as large again.
	root.Version = ""
	tell := root.Flags().BoolP("version", "v", false, "version for "+root.Name())
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w: %w%s", ErrUsage, err, flagMeant(cmd, err))
	})
	root.Args, root.RunE = cobra.ArbitraryArgs, func(cmd *cobra.Command, args []string) error {
		if *tell {
			_, err := fmt.Fprintln(p.Stdout, root.Name(), version)
			return err
		}
		return help(cmd, args)
	}
	root.SetArgs(p.Args)
	root.SetOut(p.Stdout)
	root.SetErr(p.Stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return ExitOK
	}
	fmt.Fprintf(p.Stderr, "%s: %v\n", root.Name(), err)
	var problems *config.Problems
	if errors.As(err, &problems) || errors.Is(err, ErrUsage) {
		return ExitUsage
	}
	var exit Exit
	if errors.As(err, &exit) {
		return exit.ExitStatus()
	}
	return ExitFailed
}

// help is what a command does that only holds others.
func help(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%w: unknown command %q for %q%s", ErrUsage, args[0], cmd.CommandPath(), commandMeant(cmd, args[0]))
	}
	return cmd.Help()
}

// Group makes a command that only holds others.
func Group(use, short string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, RunE: help}
	cmd.AddCommand(commands...)
	return cmd
}

// Settings is a program's configuration: where it comes from and its defaults.
type Settings[C any] struct {
	Process Process
	Prefix  string // of environment variables
	Default func() C

	concerning []string
}

// Concerning are the same settings for commands that use those keys alone, and
// need not be told what others must be.
func (s Settings[C]) Concerning(keys ...string) Settings[C] {
	s.concerning = keys
	return s
}

// Command makes a command that takes every setting as a flag, and loads them
// all before it runs.
func (s Settings[C]) Command(use, short, long string, run func(cmd *cobra.Command, cfg C) error) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Long: long, Args: noArguments}
	defaults := s.Default()
	config.Flags(cmd.Flags(), &defaults)
	file := cmd.Flags().String("config", "", "YAML file of settings")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg := s.Default()
		err := config.Load(&cfg, config.Options{
			File: *file, Prefix: s.Prefix, Environ: s.Process.Environ, Flags: cmd.Flags(), Concerning: s.concerning,
			Warn: func(text string) { fmt.Fprintf(s.Process.Stderr, "%s: warning: %s\n", cmd.Root().Name(), text) },
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
		return fmt.Errorf("%w: %s takes no arguments, got %q", ErrUsage, cmd.CommandPath(), args)
	}
	return nil
}

// Print shows the settings in effect, secrets masked.
func (s Settings[C]) Print(cfg C) error {
	text, err := config.Describe(&cfg)
	if err != nil {
		return err
	}
	_, err = io.WriteString(s.Process.Stdout, text)
	return err
}

// OnHangup calls reload for every SIGHUP until stop, which waits for one under way.
func OnHangup(ctx context.Context, reload func(context.Context)) (stop func()) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-hangups:
				reload(ctx)
			case <-done:
				return
			}
		}
	}()
	return func() {
		signal.Stop(hangups)
		close(done)
		<-ended
	}
}
