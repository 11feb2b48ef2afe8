package cli

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sentryagent/agentidp/shared/config"
	"github.com/sentryagent/agentidp/sidecar/internal/app"
)

func (p Process) serve() *cobra.Command {
	return p.command("serve", "Run the sidecar", `Serve runs the sidecar until SIGINT or SIGTERM; requests in flight then finish, and
decisions are shipped for a few seconds more. SIGHUP reloads routes and policy; a file
that does not load, or a policy that fails its own tests, leaves the old one in force.

GET /ready on the admin address answers 200 once requests can be decided: that takes the
IdP at the very first start, and what DATA_DIR keeps afterwards.`,
		func(cmd *cobra.Command, cfg app.Config) error {
			logger, err := cfg.Logger(p.Stderr)
			if err != nil {
				return err
			}
			a, err := app.New(cmd.Context(), cfg, app.Options{Logger: logger})
			if err != nil {
				return err
			}
			stop := onHangup(cmd.Context(), a.Reload)
			defer stop()
			return a.Run(cmd.Context())
		})
}

// onHangup calls reload for every SIGHUP until stop, which waits for one under way.
func onHangup(ctx context.Context, reload func(context.Context)) (stop func()) {
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

func (p Process) checkConfig() *cobra.Command {
	return p.command("check-config", "Check settings, routes and policy, and print the settings", `Check-config loads settings, routes and policy as serve would, runs the policy's own
tests, lists every problem at once, and prints the settings in effect with the secret masked.
It opens no port, does not touch DATA_DIR and calls nobody.`,
		func(cmd *cobra.Command, cfg app.Config) error {
			if err := cfg.CheckPolicy(cmd.Context()); err != nil {
				return err
			}
			text, err := config.Describe(&cfg)
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(p.Stdout, text)
			return err
		})
}
