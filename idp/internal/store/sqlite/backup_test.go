package sqlite

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/store"
)

// errLook is what a caller finds wrong with a copy.
var errLook = errors.New("looked at")

func settingsOf(t *testing.T, s *Store) (n int64) {
	t.Helper()
	require.NoError(t, s.view(t.Context(), func(ctx context.Context, tx *transaction) (err error) {
		n, err = tx.number(ctx, "SELECT count(*) FROM settings")
		return err
	}))
	return n
}

// beside lists what lies in the folder of a file.
func beside(t *testing.T, path string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// Another process writes while the copy is made: the copy is one moment of it,
// the writer goes on, and its file is whole after a kill.
func TestBackupBesideAWritingProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "agentidp.db")
	target := filepath.Join(t.TempDir(), "backup.db")
	command, output := spawn(t, path)
	reader := follow(output)
	require.Eventually(t, func() bool { return reader.last() >= 50 }, time.Minute, time.Millisecond)
	for range 5 {
		before := reader.last()
		require.NoError(t, Backup(t.Context(), path, target, BackupOptions{Force: true}))
		s, err := OpenBackup(t.Context(), target)
		require.NoError(t, err)
		n := settingsOf(t, s)
		require.Greater(t, n, before, "what was committed before it began")
		for i := range n {
			require.True(t, has(t, s, strconv.FormatInt(i, 10)), "no hole")
		}
		require.ErrorIs(t, s.Update(t.Context(), nil), store.ErrReadOnly)
		require.NoError(t, s.Close())
		require.Equal(t, []string{"backup.db"}, beside(t, target), "one file")
		require.Eventually(t, func() bool { return reader.last() > n }, time.Minute, time.Millisecond, "the writer goes on")
	}
	require.NoError(t, command.Process.Kill())
	_ = command.Wait()
	reader.done.Wait()
	info, err := os.Stat(target)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	s, err := Open(t.Context(), path)
	require.NoError(t, err)
	require.NoError(t, s.integrity(t.Context()))
	require.Greater(t, settingsOf(t, s), reader.last(), "nothing that was committed is lost")
	require.NoError(t, s.Close())
}

// followed is the highest number that a child has named.
type followed struct {
	mu   sync.Mutex
	n    int64
	done sync.WaitGroup
}

func (f *followed) last() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.n
}

func follow(output *bufio.Reader) *followed {
	f := &followed{}
	f.done.Go(func() {
		for {
			line, err := output.ReadString('\n')
			if n, bad := strconv.ParseInt(strings.TrimSpace(line), 10, 64); bad == nil {
				f.mu.Lock()
				f.n = n
				f.mu.Unlock()
			}
			if err != nil {
				return
			}
		}
	})
	return f
}

// backupVariable makes this test binary a process that is in the middle of a backup of agentidp.db, in its folder.
const backupVariable = "AGENTIDP_STORE_TEST_BACKUP"

func backupChild() {
	err := Backup(context.Background(), "agentidp.db", "agentidp.db.backup", BackupOptions{Progress: func(int, int) {
		fmt.Println("half way")
		select {}
	}})
	fmt.Println(err)
	os.Exit(1)
}

// A backup that is killed while it reads its snapshot leaves the store to its
// writer: the log is moved into the file, and nothing is lost.
func TestAKilledBackupDoesNotHarmTheStore(t *testing.T) {
	s, path := reopenable(t)
	write := func(n int) {
		require.NoError(t, s.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error { return put(ctx, tx, strconv.Itoa(n)) }))
	}
	write(0)
	command := exec.CommandContext(t.Context(), os.Args[0])
	command.Dir, command.Env = filepath.Dir(path), append(os.Environ(), backupVariable+"=yes")
	output, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	line, err := bufio.NewReader(output).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "half way\n", line)
	for n := range 500 {
		write(1 + n)
	}
	require.NoError(t, s.wal.checkpoint(t.Context(), s.writer), "also beside its snapshot")
	require.NoError(t, command.Process.Kill())
	_ = command.Wait()
	write(501)
	var busy, frames, moved int
	require.NoError(t, s.writer.conn.QueryRowContext(t.Context(), checkpointPassive).Scan(&busy, &frames, &moved))
	require.Equal(t, frames, moved, "its snapshot is gone with it")
	require.NoError(t, s.Close())
	again, err := Open(t.Context(), path)
	require.NoError(t, err)
	require.NoError(t, again.integrity(t.Context()))
	require.Equal(t, int64(502), settingsOf(t, again))
	require.NoError(t, again.Close())
	require.NoError(t, Backup(t.Context(), path, path+".backup", BackupOptions{}), "what the killed one left is in nobody's way")
}

func TestABackupThatIsNotMadeLeavesNothing(t *testing.T) {
	s, path := reopenable(t)
	require.NoError(t, s.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error { return put(ctx, tx, "kept") }))
	target := filepath.Join(t.TempDir(), "backup.db")

	cancelled, cancel := context.WithCancel(t.Context())
	err := Backup(cancelled, path, target, BackupOptions{Check: func(ctx context.Context, _ store.DB) error { cancel(); return ctx.Err() }})
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, beside(t, target))
	require.ErrorIs(t, Backup(cancelled, path, target, BackupOptions{}), context.Canceled)
	require.ErrorIs(t, Backup(t.Context(), path, target, BackupOptions{Check: func(context.Context, store.DB) error { return errLook }}), errLook)
	require.Empty(t, beside(t, target))

	require.ErrorIs(t, Backup(t.Context(), filepath.Join(t.TempDir(), "none.db"), target, BackupOptions{}), fs.ErrNotExist)
	require.ErrorIs(t, Backup(t.Context(), path, filepath.Join(t.TempDir(), "none", "b.db"), BackupOptions{}), fs.ErrNotExist)
	require.FileExists(t, path+"-wal")
	for _, suffix := range []string{"", "-wal", "-shm"} {
		require.ErrorContains(t, Backup(t.Context(), path, path+suffix, BackupOptions{Force: true}), "is the store itself")
	}

	require.NoError(t, os.WriteFile(target, []byte("precious"), 0o600))
	require.ErrorIs(t, Backup(t.Context(), path, target, BackupOptions{}), fs.ErrExist)
	content, err := os.ReadFile(target)
	require.NoError(t, err)
	require.Equal(t, "precious", string(content))
	pages := 0
	require.NoError(t, Backup(t.Context(), path, target, BackupOptions{Force: true, Progress: func(done, total int) { pages = done; require.LessOrEqual(t, done, total) }}))
	require.Positive(t, pages)
	// Somebody takes the name while the copy is made.
	other := filepath.Join(t.TempDir(), "other.db")
	err = Backup(t.Context(), path, other, BackupOptions{Check: func(context.Context, store.DB) error { return os.WriteFile(other, nil, 0o600) }})
	require.ErrorIs(t, err, fs.ErrExist)
	require.Equal(t, []string{"other.db"}, beside(t, other))
	require.True(t, has(t, s, "kept"))
}

// A file is checked under whatever name it is given: ./data is the default folder.
func TestIntegrityOfARelativePath(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data", "agentidp.db")
	require.NoError(t, os.Mkdir(filepath.Dir(path), 0o700))
	s, err := Open(t.Context(), path)
	require.NoError(t, err)
	require.NoError(t, s.Close())
	t.Chdir(filepath.Dir(filepath.Dir(path)))
	require.NoError(t, CheckIntegrity(t.Context(), "data/agentidp.db"))
}

func TestADamagedStoreMakesNoBackup(t *testing.T) {
	s, path := reopenable(t)
	require.NoError(t, s.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		for n := range 2000 {
			if err := put(ctx, tx, "setting "+strconv.Itoa(n)); err != nil {
				return err
			}
		}
		return nil
	}))
	require.NoError(t, s.Close())
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	at := strings.Index(string(content), "setting 1000setting 1000") // a key out of order
	require.Positive(t, at)
	copy(content[at:], "zetting 1000")
	require.NoError(t, os.WriteFile(path, content, 0o600))
	target := filepath.Join(t.TempDir(), "backup.db")
	require.ErrorIs(t, Backup(t.Context(), path, target, BackupOptions{}), ErrDamaged)
	require.Empty(t, beside(t, target))
}
