package faults

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/command/commandtest"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if !full() {
		// The faults mostly wait, each for programs of its own.
		if err := flag.Set("test.parallel", "10"); err != nil {
			panic(err)
		}
	} else if err := flag.Set("test.parallel", "1"); err != nil { // figures of one, not of its neighbours
		panic(err)
	}
	status := m.Run()
	if missing := unreported(); status == 0 && len(missing) > 0 {
		fmt.Println("faults without a line:", missing)
		status = 1
	}
	os.Exit(status)
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

// program builds a command of this module and returns its path.
func program(t *testing.T, command string) string {
	t.Helper()
	return filepath.Join(commandtest.Build(t, "", nil, command), filepath.Base(command))
}

// figures are what one fault came to.
type figures struct {
	runs, acked              int
	lost, phantom, unaudited []string
	downtime                 time.Duration // the longest that nothing was served
	gap                      int64         // decisions that gap records declare
	undone                   int64         // decisions that are not in the log, declared or not
	inFlight                 int64         // of them such whose request the API had when the sidecar died
	unanswered               int64         // decisions in the log whose answer was cut
	folded                   int64         // anonymous decisions that stand in another's count
}

func (f *figures) add(other figures) {
	f.runs += other.runs
	f.acked += other.acked
	f.lost = append(f.lost, other.lost...)
	f.phantom = append(f.phantom, other.phantom...)
	f.unaudited = append(f.unaudited, other.unaudited...)
	f.downtime = max(f.downtime, other.downtime)
	f.gap += other.gap
	f.undone += other.undone
	f.inFlight += other.inFlight
	f.unanswered += other.unanswered
	f.folded += other.folded
}

// lines are what report printed, by fault.
var lines struct {
	sync.Mutex
	of map[string]int
}

// unreported are faults that were tried, all of them being, and printed nothing.
func unreported() (missing []string) {
	if flag.Lookup("test.run").Value.String() != "" || flag.Lookup("test.list").Value.String() != "" {
		return nil
	}
	for _, fault := range strings.Fields("F9 F10 F11 F12 F15 F21 F23 flood rolling outage") {
		if lines.of[fault] == 0 {
			missing = append(missing, fault)
		}
	}
	return missing
}

// report prints the fault's one line, with its own figures behind, and fails
// the test unless lost, phantom and unaudited are zero.
func report(t *testing.T, fault string, f figures, format string, args ...any) {
	t.Helper()
	line := fmt.Sprintf("%s runs=%d acked=%d lost=%d phantom=%d unaudited=%d downtime_ms=%d program=sidecar ",
		fault, f.runs, f.acked, len(f.lost), len(f.phantom), len(f.unaudited), f.downtime.Milliseconds()) + fmt.Sprintf(format, args...)
	lines.Lock()
	defer lines.Unlock()
	fmt.Println(line)
	if lines.of == nil {
		lines.of = map[string]int{}
	}
	lines.of[fault]++
	if path := os.Getenv("AGENTIDP_FAULTS_REPORT"); path != "" {
		file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		require.NoError(t, err)
		_, err = fmt.Fprintln(file, line)
		require.NoError(t, err)
		require.NoError(t, file.Close())
	}
	require.Empty(t, some(f.lost), "lost")
	require.Empty(t, some(f.phantom), "phantom")
	require.Empty(t, some(f.unaudited), "unaudited")
}

// some is the beginning of what may be a long list.
func some(list []string) []string { return list[:min(len(list), 10)] }

// patience is how long a state may take to come, on a machine that is busy.
const patience = time.Minute

// await waits for a state, and says how long that took.
func await(t *testing.T, what string, state func() bool) time.Duration {
	t.Helper()
	return awaitFor(t, patience, what, state)
}

func awaitFor(t *testing.T, limit time.Duration, what string, state func() bool) time.Duration {
	t.Helper()
	begun := time.Now()
	for !state() {
		require.Less(t, time.Since(begun), limit, "never: %s", what)
		time.Sleep(5 * time.Millisecond)
	}
	return time.Since(begun)
}
