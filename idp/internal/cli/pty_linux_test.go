package cli_test

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sentryagent/agentidp/idp/internal/cli"
	"github.com/sentryagent/agentidp/shared/command"
)

// typist is a person at a terminal who answers questions.
type typist struct {
	terminal *os.File
	answers  []string // what is typed when the screen ends with a question

	mu     sync.Mutex
	screen strings.Builder
}

func newTypist(t *testing.T, answers ...string) *typist {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	require.NoError(t, err)
	require.NoError(t, unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	require.NoError(t, err)
	terminal, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	p := &typist{terminal: terminal, answers: answers}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for buffer := make([]byte, 4096); ; {
			n, err := master.Read(buffer)
			if err != nil {
				return
			}
			p.mu.Lock()
			p.screen.Write(buffer[:n])
			asked := strings.HasSuffix(p.screen.String(), ": ") && len(p.answers) > 0
			var answer string
			if asked {
				answer, p.answers = p.answers[0], p.answers[1:]
			}
			p.mu.Unlock()
			if asked {
				fmt.Fprintln(master, answer)
			}
		}
	}()
	t.Cleanup(func() {
		terminal.Close()
		master.Close()
		<-ended
	})
	return p
}

func (p *typist) seen() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.screen.String()
}

// runs runs a command at the terminal and gives all that it shows.
func (p *typist) runs(w *world, status int, args ...string) string {
	w.Helper()
	require.Equal(w, status, cli.Run(w.Context(), command.Process{Args: args, Environ: w.env, Stdin: p.terminal, Stdout: p.terminal, Stderr: p.terminal}))
	fmt.Fprint(p.terminal, "THE END")
	require.Eventually(w, func() bool { return strings.Contains(p.seen(), "THE END") }, patience, tick)
	return p.seen()
}

func TestAPersonAtATerminal(t *testing.T) {
	w := newWorld(t)
	shown := newTypist(t, w.idp.URL, w.screen.ClientID, w.screen.ClientSecret).runs(w, 0, "login", "--profile", "typed")
	require.Contains(t, shown, "Client secret: ")
	require.NotContains(t, shown, w.screen.ClientSecret, "the prompt is hidden")
	require.Contains(t, shown, "logged in")
	w.run("profiles", "use", "default")

	shown = newTypist(t, "no").runs(w, 1, "agents", "decommission", w.other.AgentID)
	require.Contains(t, shown, "Agent other@example.com")
	require.Contains(t, shown, "nothing was done")
	require.Equal(t, "active", w.api("/api/v1/agents/" + w.other.AgentID)["status"])
	newTypist(t, "other@example.com").runs(w, 0, "agents", "decommission", w.other.AgentID)
	require.Equal(t, "decommissioned", w.api("/api/v1/agents/" + w.other.AgentID)["status"])

	require.Contains(t, newTypist(t).runs(w, 0, "agents", "list"), "\x1b[32mactive\x1b[0m")
	for _, environ := range []string{"NO_COLOR=1", "TERM=dumb"} {
		plain := *w
		plain.env = append(plain.env[:len(plain.env):len(plain.env)], environ)
		require.NotContains(t, newTypist(t).runs(&plain, 0, "agents", "list"), "\x1b", environ)
	}
}
