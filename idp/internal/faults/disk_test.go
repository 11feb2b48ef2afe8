package faults

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
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
func canMount(t *testing.T, fault string) bool {
	t.Helper()
	if os.Getuid() == 0 || os.Getenv(insideNamespace) != "" {
		return true
	}
	again := exec.Command("unshare", "--user", "--map-root-user", "--mount", os.Args[0], "-test.v", "-test.run=^"+t.Name()+"$")
	again.Env = append(os.Environ(), insideNamespace+"=1")
	again.Stdout, again.Stderr = os.Stdout, os.Stderr
	require.NoError(t, again.Run())
	lines[fault] = append(lines[fault], "printed by that process")
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
// IdP works on without a restart. A few times on each disk: what is acknowledged
// stays, and would fill it by itself.
func TestF7DiskFull(t *testing.T) {
	if !canMount(t, "F7") {
		return
	}
	var total figures
	corrupt := 0
	for range pick(1, 10) {
		found, said := fullDisk(t)
		total.add(found)
		if said != "ok" {
			corrupt++
			t.Log(said)
		}
	}
	total.extra = "corrupt=" + itoa(corrupt)
	report(t, "F7", total)
	require.Zero(t, corrupt)
}

// fullDisk fills a disk three times; said is SQLite's word on what is left.
func fullDisk(t *testing.T) (found figures, said string) {
	t.Helper()
	disk := smallDisk(t, 16<<20)
	tr := newTrial(t, plain, sqliteIn(disk))
	tr.process.Start()
	load := tr.load()
	tr.flowing(20)
	ballast := filepath.Join(disk, "ballast")
	refused := func() int { return tr.ledger.count(func(d *deed) bool { return d.status == 503 }) }
	for range 3 {
		begun, before := time.Now(), refused()
		await(t, "writes are refused", func() bool { fill(t, ballast); return refused() >= before+5 })
		require.NoError(t, os.Remove(ballast))
		tr.flowing(10)
		await(t, "healthy again", func() bool { return tr.process.health() == 200 })
		tr.figures.downtime = max(tr.figures.downtime, time.Since(begun))
		tr.figures.runs++
	}
	load.stop()
	require.Empty(t, tr.wrong())
	return tr.close(), integrity(t, tr.site)
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
		tr.process.Start()
		load := tr.load()
		tr.flowing(10)
		late += tr.endsBy(load, "fsync,fdatasync:error=EIO:when="+itoa(n%8+1))
		tr.restart(time.Now())
		load = tr.load()
		tr.flowing(10)
		load.stop()
		tr.process.Stop()
		tr.figures.runs++
	}
	figures := tr.verdict()
	figures.extra = "fault=sync acked_after_failed_sync=" + itoa(late)
	report(t, "F8", figures)
	require.Zero(t, late)
}

// endsBy makes system calls fail until the process has ended of it, by itself,
// and counts what was acknowledged to requests that were sent after the first.
func (tr *trial) endsBy(load *load, inject string) (late int) {
	tr.Helper()
	tracer := trace(tr.T, tr.process, inject)
	require.Equal(tr, 1, tr.process.Wait(), "the process ends by itself")
	ended := time.Now()
	load.stop()
	tracer.detach()
	at, failed := tracer.failed()
	require.True(tr, failed)
	require.Contains(tr, string(tr.process.Log()), "the store failed and takes no more writes")
	return tr.ledger.count(func(d *deed) bool { return d.told == yes && d.sent.After(at) && d.sent.Before(ended) })
}

// F8: the file system turns read-only under load, and back. A file system does
// so by itself when its disk fails; as mount refuses it while files are open,
// the running process is told EROFS, and the next finds it mounted read-only.
func TestF8ReadOnly(t *testing.T) {
	if !canMount(t, "F8") {
		return
	}
	disk := smallDisk(t, 64<<20)
	remount := func(flags uintptr) {
		require.NoError(t, syscall.Mount("tmpfs", disk, "tmpfs", syscall.MS_REMOUNT|flags, ""))
	}
	tr := newTrial(t, plain, sqliteIn(disk))
	refused := func() int { return tr.ledger.count(func(d *deed) bool { return d.status == 503 }) }
	tr.process.Start()
	late := 0
	for range pick(2, 20) {
		load := tr.load()
		tr.flowing(10)
		begun, before := time.Now(), refused()
		late += tr.endsBy(load, "write,pwrite64,fsync,fdatasync,ftruncate,fallocate,openat,renameat,unlinkat:error=EROFS")
		require.Greater(t, refused(), before)
		remount(syscall.MS_RDONLY)
		tr.process.Launch()
		require.Equal(t, 1, tr.process.Wait(), "it does not start where it cannot write")
		require.Contains(t, tr.process.LogTail(), "read-only file system")
		remount(0)
		tr.restart(begun)
		tr.figures.runs++
	}
	load := tr.load()
	tr.flowing(10)
	load.stop()
	require.Empty(t, tr.wrong())
	figures := tr.close()
	corrupt := 0
	if said := integrity(t, tr.site); said != "ok" {
		corrupt++
		t.Log(said)
	}
	figures.extra = fmt.Sprintf("fault=read-only acked_after=%d corrupt=%d", late, corrupt)
	report(t, "F8", figures)
	require.Zero(t, late)
	require.Zero(t, corrupt)
}
