package faults

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// diskCalls are the system calls that change files; "?" marks those that not
// every architecture has.
var diskCalls = []string{
	"write", "pwrite64", "fsync", "fdatasync", "?rename", "renameat", "renameat2", "ftruncate", "fallocate", "openat", "?unlink", "unlinkat",
}

// tracer is strace on a running process. It sees the files of the data folder only.
type tracer struct {
	t       *testing.T
	cmd     *exec.Cmd
	log     string
	drained chan struct{} // closed when strace has nothing more to say
}

// trace attaches strace to the process. inject are faults in strace's words; the
// count of "when=" begins now, for each thread by itself.
func trace(t *testing.T, p *process, inject ...string) *tracer {
	t.Helper()
	tr := &tracer{t: t, log: filepath.Join(t.TempDir(), "trace"), drained: make(chan struct{})}
	args := []string{"-f", "-ttt", "-o", tr.log, "-e", "trace=" + strings.Join(diskCalls, ",")}
	for _, fault := range inject {
		args = append(args, "-e", "inject="+fault)
	}
	for _, name := range []string{"", "agentidp.db", "agentidp.db-wal", "agentidp.db-shm", "agentidp.db.lock", "audit.checkpoint", "audit.checkpoint.tmp"} {
		args = append(args, "-P", filepath.Join(p.dir, name))
	}
	tr.cmd = exec.Command("strace", append(args, "-p", itoa(p.PID()))...)
	stderr, err := tr.cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, tr.cmd.Start())
	said, lines := "", bufio.NewScanner(stderr)
	for !strings.Contains(said, "attached") {
		require.True(t, lines.Scan(), "strace ends: %s", said)
		said = lines.Text()
	}
	go func() {
		_, _ = io.Copy(io.Discard, stderr)
		close(tr.drained)
	}()
	return tr
}

// detach lets the process run on; strace has ended by itself if the process has.
func (tr *tracer) detach() {
	tr.t.Helper()
	_ = tr.cmd.Process.Signal(syscall.SIGINT)
	<-tr.drained
	_ = tr.cmd.Wait() // it ends as its process did
}

// lines are what was traced so far.
func (tr *tracer) lines() []string {
	tr.t.Helper()
	content, err := os.ReadFile(tr.log)
	if !os.IsNotExist(err) {
		require.NoError(tr.t, err)
	}
	return strings.Split(strings.TrimSpace(string(content)), "\n")
}

// failed says when a call was first made to fail.
func (tr *tracer) failed() (at time.Time, failed bool) {
	tr.t.Helper()
	for _, line := range tr.lines() {
		if strings.Contains(line, "(INJECTED)") {
			seconds, err := strconv.ParseFloat(strings.Fields(line)[1], 64)
			require.NoError(tr.t, err)
			return time.UnixMicro(int64(seconds * 1e6)), true
		}
	}
	return at, false
}

// count is how often the thread that made most of them made each call, in the
// lines after the first n.
func (tr *tracer) count(from int) map[string]int {
	tr.t.Helper()
	byThread, most := map[string]int{}, map[string]int{}
	for _, line := range tr.lines()[from:] {
		fields := strings.Fields(line) // thread, time, call(…
		if len(fields) < 3 {
			continue
		}
		if call, _, found := strings.Cut(fields[2], "("); found && call != "" && !strings.HasPrefix(call, "<") {
			byThread[fields[0]+call]++
			most[call] = max(most[call], byThread[fields[0]+call])
		}
	}
	return most
}
