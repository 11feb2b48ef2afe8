package faults

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	// The tests run the program that is built from this; a change of it must not
	// find their last result in the cache.
	_ "github.com/sentryagent/agentidp/idp/internal/cli"
	"github.com/sentryagent/agentidp/shared/command/commandtest"
)

func TestMain(m *testing.M) {
	status := m.Run()
	if missing := unreported(); status == 0 && len(missing) > 0 {
		fmt.Println("faults without a line:", missing)
		status = 1
	}
	os.Exit(status)
}

// lines are what report printed, by fault.
var lines = map[string][]string{}

// unreported are faults that were tried, all of them being, and printed nothing.
func unreported() (missing []string) {
	if filter := flag.Lookup("test.run").Value.String(); filter != "" || flag.Lookup("test.list").Value.String() != "" {
		return nil
	}
	for _, fault := range strings.Fields("F1 F1s F2 F3 F4 F5 F6 F7 F8 F13 F14 F16 F17 F18 F19 F20 F22 F23 F25 F26 statements") {
		if lines[fault] == nil {
			missing = append(missing, fault)
		}
	}
	return missing
}

// full reports whether the long forms are to run.
func full() bool { return os.Getenv("AGENTIDP_FAULTS") == "full" }

// pick is the short form's value, or the full one's.
func pick[T any](short, long T) T {
	if full() {
		return long
	}
	return short
}

const (
	plain    = ""
	faultful = "faultinject"
)

// program builds that variant of agentidp and returns its path.
func program(t *testing.T, variant string, flags ...string) string {
	t.Helper()
	return filepath.Join(commandtest.Build(t, variant, flags, "idp/cmd/agentidp"), "agentidp")
}

// figures are what one fault came to.
type figures struct {
	runs, acked              int
	lost, phantom, unaudited []string
	forks                    int           // events whose sequence is not their place in the log
	downtime                 time.Duration // the longest from the fault to the first healthy answer
	extra                    string        // of this fault alone
}

func (f *figures) add(other figures) {
	f.runs += other.runs
	f.acked += other.acked
	f.lost = append(f.lost, other.lost...)
	f.phantom = append(f.phantom, other.phantom...)
	f.unaudited = append(f.unaudited, other.unaudited...)
	f.forks += other.forks
	f.downtime = max(f.downtime, other.downtime)
}

// report prints the fault's one line, and fails the test unless all is zero.
func report(t *testing.T, fault string, f figures) {
	t.Helper()
	line := fmt.Sprintf("%s runs=%d acked=%d lost=%d phantom=%d unaudited=%d downtime_ms=%d",
		fault, f.runs, f.acked, len(f.lost), len(f.phantom), len(f.unaudited), f.downtime.Milliseconds())
	if f.extra != "" {
		line += " " + f.extra
	}
	fmt.Println(line)
	lines[fault] = append(lines[fault], line)
	if path := os.Getenv("AGENTIDP_FAULTS_REPORT"); path != "" {
		file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		require.NoError(t, err)
		_, err = fmt.Fprintln(file, line)
		require.NoError(t, err)
		require.NoError(t, file.Close())
	}
	require.Empty(t, f.lost, "lost")
	require.Empty(t, f.phantom, "phantom")
	require.Empty(t, f.unaudited, "unaudited")
}

// within demands that what takes a time took less than the limit: in the full
// form, which has the machine to itself. Beside other tests any goroutine may wait
// for a core for seconds, and the figure is only printed.
func within(t *testing.T, limit, took time.Duration, why ...any) {
	t.Helper()
	if full() {
		require.Less(t, took, limit, why...)
	}
}

// await waits for a state.
func await(t *testing.T, what string, state func() bool) time.Duration {
	t.Helper()
	begun := time.Now()
	require.Eventually(t, state, patience, 2*time.Millisecond, what)
	return time.Since(begun)
}

const patience = time.Minute
