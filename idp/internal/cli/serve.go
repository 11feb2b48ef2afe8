package cli

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sentryagent/agentidp/idp/internal/app"
	"github.com/sentryagent/agentidp/shared/config"
)

func (p Process) serve() *cobra.Command {
	return p.command("serve", "Run the identity provider", `Serve runs the identity provider until SIGINT or SIGTERM. SIGHUP reloads the policy; a
policy that does not compile or fails its own tests is refused and the old one stays.`,
		func(cmd *cobra.Command, cfg app.Config) error {
			logger, err := cfg.Logger(p.Stderr)
			if err != nil {
				return err
			}
			a, err := app.New(cmd.Context(), cfg, app.Options{Logger: logger, Notice: p.Stderr})
			if err != nil {
				return err
			}
			stop := onHangup(cmd.Context(), a.Reload)
			defer stop()
			return a.Run(cmd.Context())
		})
}

// onHangup calls reload for every SIGHUP until stop.
func onHangup(ctx context.Context, reload func(context.Context)) (stop func()) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	done := make(chan struct{})
	go func() {
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
	}
}

func (p Process) checkConfig() *cobra.Command {
	return p.command("check-config", "Check every setting and print the result", `Check-config loads the configuration as serve would, lists every problem at once, and
prints the settings in effect with secrets masked.`,
		func(_ *cobra.Command, cfg app.Config) error {
			text, err := config.Describe(&cfg)
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(p.Stdout, text)
			return err
		})
}
