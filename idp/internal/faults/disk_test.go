package faults

import (
	"errors"
	"fmt"
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

func itoa(n int) string { return strconv.Itoa(n) }

// insideNamespace marks the test process that has a mount namespace of its own.
const insideNamespace = "AGENTIDP_FAULTS_NAMESPACE"

// canMount reports whether a file system can be mounted here. If not, the test
// runs in a process that can, in a namespace of its own.
func canMount(t *testing.T) bool {
	t.Helper()
	if os.Getuid() == 0 || os.Getenv(insideNamespace) != "" {
		return true
	}
	again := exec.Command("unshare", "--user", "--map-root-user", "--mount", os.Args[0], "-test.v", "-test.run=^"+t.Name()+"$")
	again.Env = append(os.Environ(), insideNamespace+"=1")
	again.Stdout, again.Stderr = os.Stdout, os.Stderr
	require.NoError(t, again.Run())
	return false
}

// smallDisk mounts a disk of so many bytes.
func smallDisk(t *testing.T, size int) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "disk")
	require.NoError(t, os.Mkdir(dir, 0o700))
	require.NoError(t, syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=700", size)))
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
	return dir
}

// fill takes all the space there is.
func fill(t *testing.T, path string) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	require.NoError(t, err)
	defer file.Close()
	for chunk := make([]byte, 64<<10); len(chunk) > 0; {
		if _, err = file.Write(chunk); err != nil {
			require.ErrorIs(t, err, syscall.ENOSPC)
			chunk = chunk[:len(chunk)/2]
		}
	}
}

// F7: the disk is full. Nothing is half done, and when there is space again the
// IdP works on without a restart.
func TestF7DiskFull(t *testing.T) {
	if !canMount(t) {
		return
	}
	disk := smallDisk(t, 16<<20)
	tr := newTrial(t, plain, sqliteIn(disk))
	tr.process.start()
	load := tr.load()
	tr.flowing(20)
	ballast := filepath.Join(disk, "ballast")
	for range pick(3, 30) {
		begun := time.Now()
		refused := func() int { return tr.ledger.count(func(d *deed) bool { return d.status == 503 }) }
		before := refused()
		await(t, "writes are refused", func() bool { fill(t, ballast); return refused() >= before+5 })
		require.NoError(t, os.Remove(ballast))
		tr.flowing(10)
		await(t, "healthy again", func() bool { return tr.process.health() == 200 })
		tr.figures.downtime = max(tr.figures.downtime, time.Since(begun))
		tr.figures.runs++
	}
	load.stop()
	require.Empty(t, tr.wrong())
	figures := tr.close()
	corrupt := 0
	if said := integrity(t, tr.site); said != "ok" {
		corrupt++
		t.Log(said)
	}
	figures.extra = "corrupt=" + itoa(corrupt)
	report(t, "F7", figures)
	require.Zero(t, corrupt)
}

// integrity is what SQLite says about the file.
func integrity(t *testing.T, s *site) (said string) {
	t.Helper()
	db := s.open(t)
	defer db.Close()
	require.NoError(t, db.QueryRow("PRAGMA integrity_check").Scan(&said))
	return said
}

// F8: a sync to disk fails under load. From then on nothing is acknowledged,
// the process ends, and what was acknowledged is there after a restart.
func TestF8SyncFails(t *testing.T) {
	tr := newTrial(t, plain, onSQLite(t))
	late := 0
	for n := range pick(3, 40) {
		tr.process.start()
		load := tr.load()
		tr.flowing(10)
		failed := failSync(t, tr.process, n%8+1)
		at := failed()
		begun := time.Now()
		require.Equal(t, 1, tr.process.wait(), "the process ends by itself")
		load.stop()
		late += tr.ledger.count(func(d *deed) bool { return d.told == yes && d.sent.After(at) && d.sent.Before(begun) })
		tr.restart(begun)
		load = tr.load()
		tr.flowing(10)
		load.stop()
		tr.process.stop()
		tr.figures.runs++
	}
	figures := tr.verdict()
	figures.extra = "acked_after_failed_sync=" + itoa(late)
	report(t, "F8", figures)
	require.Zero(t, late)
}

// failSync makes the n-th sync from now fail with EIO. failed waits for it and
// says when it was.
func failSync(t *testing.T, p *process, n int) (failed func() time.Time) {
	t.Helper()
	trace := filepath.Join(t.TempDir(), "trace")
	cmd := exec.Command("strace", "-f", "-ttt", "-o", trace, "-e", "trace=fsync,fdatasync",
		"-e", "inject=fsync,fdatasync:error=EIO:when="+itoa(n), "-p", itoa(p.cmd.Process.Pid))
	stderr, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	attached := make([]byte, 1)
	_, err = io.ReadFull(stderr, attached) // "strace: Process … attached"
	require.NoError(t, err)
	go io.Copy(io.Discard, stderr)
	return func() (at time.Time) {
		await(t, "a sync fails", func() bool {
			content, err := os.ReadFile(trace)
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				require.NoError(t, err)
			}
			for line := range strings.Lines(string(content)) {
				if fields := strings.Fields(line); strings.Contains(line, "EIO") && strings.Contains(line, "INJECTED") {
					seconds, err := strconv.ParseFloat(fields[1], 64)
					require.NoError(t, err)
					at = time.UnixMicro(int64(seconds * 1e6))
					return true
				}
			}
			return false
		})
		<-p.ended
		require.NoError(t, cmd.Wait())
		return at
	}
}
