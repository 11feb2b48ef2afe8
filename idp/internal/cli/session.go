package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	agentidp "github.com/sentryagent/agentidp/sdk/go"
	"github.com/sentryagent/agentidp/shared/command"
)

// session is one run of a command that calls the API.
type session struct {
	program
	*agentidp.Client
	out        output
	config     agentidp.Config
	connection connection
}

// connectFlags are on every command that calls the API.
type connectFlags struct {
	profile, format string
	timeout         time.Duration
}

func (f *connectFlags) add(cmd *cobra.Command, timeout time.Duration) {
	cmd.Flags().StringVar(&f.profile, "profile", "", "profile to use (AGENTIDP_PROFILE); default: the environment, else the current one")
	cmd.Flags().StringVarP(&f.format, "output", "o", "table", "table, or json: exactly the API's objects")
	cmd.Flags().DurationVar(&f.timeout, "timeout", timeout, "how long the command may take; 0: as long as it takes")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"table", "json"}, cobra.ShellCompDirectiveNoFileComp)) // of a flag that is there
}

func (f *connectFlags) check() error {
	if f.format != "table" && f.format != "json" {
		return fmt.Errorf("%w: --output must be table or json", command.ErrUsage)
	}
	return nil
}

// context ends when the command has taken as long as it may.
func (f *connectFlags) context(ctx context.Context) (context.Context, context.CancelFunc) {
	if f.timeout > 0 {
		return context.WithTimeout(ctx, f.timeout)
	}
	return context.WithCancel(ctx)
}

const (
	briefly = time.Minute // for a command that asks and answers
	forever = 0           // for one that streams
)

// api makes cmd a command that calls the API.
func (p program) api(cmd *cobra.Command, timeout time.Duration, run func(ctx context.Context, s *session, args []string) error) *cobra.Command {
	flags := &connectFlags{}
	flags.add(cmd, timeout)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		s, err := p.open(flags)
		if err != nil {
			return err
		}
		ctx, cancel := flags.context(cmd.Context())
		defer cancel()
		return explain(run(ctx, s, args))
	}
	return cmd
}

func (p program) open(flags *connectFlags) (*session, error) {
	if err := flags.check(); err != nil {
		return nil, err
	}
	c, err := p.connection(flags.profile)
	if err != nil {
		return nil, err
	}
	config, err := c.config()
	if err != nil {
		return nil, err
	}
	client, err := agentidp.NewClient(config)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", command.ErrUsage, err)
	}
	return &session{program: p, Client: client, out: p.output(flags.format == "json"), config: config, connection: c}, nil
}

// takes wants exactly the arguments named.
func takes(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != len(names) {
			return fmt.Errorf("%w: %s takes %d arguments (%v), got %d", command.ErrUsage, cmd.CommandPath(), len(names), names, len(args))
		}
		return nil
	}
}

// upToOne wants no more than one argument.
func upToOne(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return fmt.Errorf("%w: %s takes one argument at most", command.ErrUsage, cmd.CommandPath())
	}
	return nil
}

// moment reads a time flag: RFC 3339, or how long ago as 15m or 24h.
func moment(name, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil {
		return time.Now().Add(-ago), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, fmt.Errorf("%w: --%s must be a time in RFC 3339 such as 2026-07-01T12:00:00Z, or how long ago, such as 24h", command.ErrUsage, name)
	}
	return t, nil
}
