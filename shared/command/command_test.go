package command_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/command"
	"github.com/sentryagent/agentidp/shared/config"
)

type settings struct {
	Colour string `config:"COLOUR" usage:"red or blue"`
	Key    string `config:"KEY" secret:"true" usage:"a secret"`
}

func (s *settings) Validate() []config.Problem {
	if s.Colour != "red" && s.Colour != "blue" {
		return []config.Problem{{Key: "colour", Text: "must be red or blue"}}
	}
	return nil
}

func run(t *testing.T, environ []string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	p := command.Process{Args: args, Environ: environ, Stdout: &out, Stderr: &err}
	s := command.Settings[settings]{Process: p, Prefix: "PAINT_", Default: func() settings { return settings{Colour: "red"} }}
	root := &cobra.Command{Use: "paint", Short: "Paints"}
	root.AddCommand(
		s.Command("show", "Show the settings", "", func(_ *cobra.Command, cfg settings) error { return s.Print(cfg) }),
		command.Group("walls", "Walls", s.Command("fail", "Fail", "", func(*cobra.Command, settings) error { return errors.New("no paint") })),
	)
	return command.Run(t.Context(), p, root), out.String(), err.String()
}

func TestSettingsComeBeforeTheCommand(t *testing.T) {
	status, stdout, stderr := run(t, []string{"PAINT_COLOUR=blue", "PAINT_KEY=hunter2", "PAINT_TYPO=1"}, "show")
	require.Equal(t, command.ExitOK, status)
	require.Contains(t, stdout, "colour: blue")
	require.NotContains(t, stdout, "hunter2")
	require.Contains(t, stderr, "paint: warning: ")
	status, stdout, _ = run(t, []string{"PAINT_COLOUR=blue"}, "show", "--colour", "red")
	require.Equal(t, command.ExitOK, status)
	require.Contains(t, stdout, "colour: red")
}

func TestExitStatuses(t *testing.T) {
	for _, row := range []struct {
		status int
		stderr string
		args   []string
	}{
		{command.ExitFailed, "paint: no paint", []string{"walls", "fail"}},
		{command.ExitUsage, "must be red or blue", []string{"show", "--colour", "green"}},
		{command.ExitUsage, "unknown flag", []string{"show", "--nonsense"}},
		{command.ExitUsage, "takes no arguments", []string{"show", "extra"}},
		{command.ExitUsage, "unknown command", []string{"nonsense"}},
		{command.ExitUsage, "unknown command", []string{"walls", "nonsense"}},
	} {
		status, _, stderr := run(t, nil, row.args...)
		require.Equal(t, row.status, status, row.args)
		require.Contains(t, stderr, row.stderr, row.args)
	}
	for _, args := range [][]string{{}, {"walls"}, {"--help"}} {
		status, stdout, _ := run(t, nil, args...)
		require.Equal(t, command.ExitOK, status)
		require.Contains(t, stdout, "Usage")
	}
	status, stdout, _ := run(t, nil, "--version")
	require.Equal(t, command.ExitOK, status)
	require.Contains(t, stdout, "paint ")
	require.NotEmpty(t, command.Current().Environ)
}

func TestWhatWasProbablyMeant(t *testing.T) {
	for _, row := range []struct{ stderr, typed string }{
		{"paint: usage: unknown flag: --color; did you mean --colour?\n", "show --color=red"},
		{"paint: usage: unknown flag: --Colour; did you mean --colour?\n", "show --Colour red"},
		{"paint: usage: unknown flag: --conf; did you mean --config?\n", "show --conf f"},
		{"paint: usage: unknown flag: --nonsense\n", "show --nonsense"},
		{"paint: usage: unknown flag: --co\n", "show --co"}, // --colour or --config
		{"paint: usage: unknown shorthand flag: 'c' in -c\n", "show -c"},
		{"paint: usage: unknown command \"shwo\" for \"paint\"; did you mean show?\n", "shwo"},
		{"paint: usage: unknown command \"wals\" for \"paint\"; did you mean walls?\n", "wals fail"},
		{"paint: usage: unknown command \"fial\" for \"paint walls\"; did you mean fail?\n", "walls fial"},
		{"paint: usage: unknown command \"w\" for \"paint\"; did you mean walls?\n", "w"},
		{"paint: usage: unknown command \"\" for \"paint\"\n", ""},
		{"paint: usage: unknown command \"ceilings\" for \"paint\"\n", "ceilings"},
	} {
		status, stdout, stderr := run(t, nil, strings.Split(row.typed, " ")...)
		require.Equal(t, command.ExitUsage, status, row.typed)
		require.Equal(t, row.stderr, stderr)
		require.Empty(t, stdout)
	}
}

func TestEveryHangupReloads(t *testing.T) {
	var reloads atomic.Int64
	stop := command.OnHangup(t.Context(), func(context.Context) { reloads.Add(1) })
	for want := range int64(2) {
		require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGHUP))
		require.Eventually(t, func() bool { return reloads.Load() == want+1 }, time.Minute, time.Millisecond)
	}
	stop()
}
