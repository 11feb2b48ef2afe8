package cli_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/cli"
	"github.com/sentryagent/agentidp/shared/command"
)

var update = flag.Bool("update", false, "write the reference of docs/cli.md")

const (
	manual = "../../../docs/cli.md"
	from   = "<!-- reference: go test ./idp/internal/cli -run Reference -update -->\n"
	to     = "<!-- end of the reference -->\n"
)

// The manual's reference is what the commands say of themselves.
func TestReference(t *testing.T) {
	var text strings.Builder
	walk(cli.Root(command.Process{}), func(cmd *cobra.Command) {
		if cmd.HasSubCommands() {
			return
		}
		section(&text, cmd)
	})
	content, err := os.ReadFile(manual)
	require.NoError(t, err)
	head, rest, found := strings.Cut(string(content), from)
	require.True(t, found)
	_, tail, found := strings.Cut(rest, to)
	require.True(t, found)
	want := head + from + text.String() + to + tail
	if *update {
		require.NoError(t, os.WriteFile(manual, []byte(want), 0o644))
		return
	}
	require.Equal(t, want, string(content), "go test ./idp/internal/cli -run Reference -update")
}

func walk(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, c := range cmd.Commands() {
		walk(c, visit)
	}
}

func section(text *strings.Builder, cmd *cobra.Command) {
	fmt.Fprintf(text, "### %s\n\n%s.\n", strings.TrimSpace(cmd.CommandPath()+strings.TrimPrefix(cmd.Use, cmd.Name())), cmd.Short)
	if cmd.Long != "" {
		fmt.Fprintf(text, "\n%s\n", strings.ReplaceAll(cmd.Long, "<", "&lt;"))
	}
	if cmd.Example != "" {
		lines := strings.Split(cmd.Example, "\n")
		for i, line := range lines {
			lines[i] = strings.TrimPrefix(line, "  ")
		}
		fmt.Fprintf(text, "\n```sh\n%s\n```\n", strings.Join(lines, "\n"))
	}
	if settings := cmd.Flags().Lookup("data-dir"); settings != nil && !settings.Hidden {
		fmt.Fprint(text, "\nIts flags are the [settings](operations.md) of `agentidp serve`, and:\n")
	}
	rows := 0
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden || isSetting(f) {
			return
		}
		if rows++; rows == 1 {
			fmt.Fprint(text, "\n| flag | |\n| --- | --- |\n")
		}
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		usage := strings.ReplaceAll(f.Usage, "|", `\|`)
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "[]" && f.DefValue != "0" && f.DefValue != "0s" {
			usage += " (default " + f.DefValue + ")"
		}
		fmt.Fprintf(text, "| `%s` | %s |\n", name, usage)
	})
	fmt.Fprintln(text)
}

// isSetting reports whether a flag is one of the server's, which docs/operations.md lists.
func isSetting(f *pflag.Flag) bool {
	serve, _, _ := cli.Root(command.Process{}).Find([]string{"serve"})
	return f.Name != "config" && serve.Flags().Lookup(f.Name) != nil
}

// Everybody can learn each command from its help.
func TestEveryCommandOverTheAPIHasAnExample(t *testing.T) {
	walk(cli.Root(command.Process{}), func(cmd *cobra.Command) {
		if cmd.Flags().Lookup("profile") == nil {
			return
		}
		require.NotEmpty(t, cmd.Short, cmd.CommandPath())
		require.Contains(t, cmd.Example, "agentidp ", cmd.CommandPath())
		for _, line := range strings.Split(cmd.Long, "\n") {
			require.LessOrEqual(t, len(line), 180, "%s: %s", cmd.CommandPath(), line)
		}
	})
}
