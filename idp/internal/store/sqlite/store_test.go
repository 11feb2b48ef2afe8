package sqlite

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sentryagent/agentidp/idp/internal/store"
)

// childVariable makes this test binary a second process that opens the path it names.
const childVariable = "AGENTIDP_STORE_TEST_CHILD"

func TestMain(m *testing.M) {
	if path := os.Getenv(childVariable); path != "" {
		child(path)
	}
	if os.Getenv(backupVariable) != "" {
		backupChild()
	}
	goleak.VerifyTestMain(m)
}

// child opens the store and commits one setting after another, naming each on
// standard output once it is committed, until it is killed.
func child(path string) {
	ctx := context.Background()
	s, err := Open(ctx, path)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for n := 0; ; n++ {
		err := s.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
			return put(ctx, tx, strconv.Itoa(n))
		})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(n)
	}
}

func spawn(t *testing.T, path string) (*exec.Cmd, *bufio.Reader) {
	t.Helper()
	command := exec.CommandContext(t.Context(), os.Args[0])
	command.Env = append(os.Environ(), childVariable+"="+path)
	output, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	return command, bufio.NewReader(output)
}

func put(ctx context.Context, tx *store.Tx, name string) error {
	_, err := tx.Settings.PutIfAbsent(ctx, name, name)
	return err
}

func has(t *testing.T, s *Store, name string) bool {
	t.Helper()
	found := 0
	require.NoError(t, s.view(t.Context(), func(ctx context.Context, tx *transaction) error {
		n, err := tx.number(ctx, "SELECT count(*) FROM settings WHERE name = ?1", name)
		found = int(n)
		return err
	}))
	return found == 1
}

func memory(t *testing.T) *Store {
	t.Helper()
	s, err := OpenMemory(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// reopenable opens a store at a path that outlives it.
func reopenable(t *testing.T) (*Store, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "agentidp.db")
	s, err := Open(t.Context(), path)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s, path
}

func TestSecondOpenIsRefused(t *testing.T) {
	s, path := reopenable(t)
	link := filepath.Join(t.TempDir(), "link.db")
	require.NoError(t, os.Symlink(path, link))
	for _, name := range []string{path, link} {
		_, err := Open(t.Context(), name)
		require.ErrorIs(t, err, ErrInUse)
		require.ErrorContains(t, err, strconv.Itoa(os.Getpid()))
	}
	command, output := spawn(t, path)
	answer, err := output.ReadString('\n')
	require.NoError(t, err)
	require.Contains(t, answer, "database is in use")
	require.Error(t, command.Wait())

	require.NoError(t, s.Close())
	again, err := Open(t.Context(), path)
	require.NoError(t, err)
	require.NoError(t, again.Close())
}

// A process that is killed loses nothing that it was told is committed.
func TestKilledProcessKeepsItsCommits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "agentidp.db")
	command, output := spawn(t, path)
	acknowledged := -1
	for acknowledged < 50 {
		line, err := output.ReadString('\n')
		require.NoError(t, err)
		acknowledged, err = strconv.Atoi(strings.TrimSpace(line))
		require.NoError(t, err, line)
	}
	_, err := Open(t.Context(), path)
	require.ErrorIs(t, err, ErrInUse)
	require.NoError(t, command.Process.Kill())
	rest, err := io.ReadAll(output)
	require.NoError(t, err)
	if lines := strings.Fields(string(rest)); len(lines) > 0 {
		acknowledged, err = strconv.Atoi(lines[len(lines)-1])
		require.NoError(t, err)
	}
	require.Error(t, command.Wait())
	s, err := Open(t.Context(), path)
	require.NoError(t, err)
	defer s.Close()
	for n := range acknowledged + 1 {
		require.True(t, has(t, s, strconv.Itoa(n)), n)
	}
	require.False(t, has(t, s, strconv.Itoa(acknowledged+2)))
}

func TestFilesAreTheOwnersOnly(t *testing.T) {
	s, path := reopenable(t)
	require.NoError(t, s.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error { return put(ctx, tx, "a") }))
	for _, suffix := range []string{"", "-wal", "-shm", ".lock"} {
		info, err := os.Stat(path + suffix)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), suffix)
	}
}

func TestCloseLeavesOneFileAndItsLock(t *testing.T) {
	s, path := reopenable(t)
	require.NoError(t, s.Close())
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	require.Equal(t, []string{"agentidp.db", "agentidp.db.lock"}, names)
}

func TestMemoryLeavesNothing(t *testing.T) {
	s, err := OpenMemory(t.Context())
	require.NoError(t, err)
	folder := s.scratch
	require.DirExists(t, folder)
	require.NoError(t, s.Close())
	require.NoDirExists(t, folder)
}

func TestOpenNamesWhatIsWrong(t *testing.T) {
	folder := t.TempDir()
	_, err := Open(t.Context(), filepath.Join(folder, "none", "agentidp.db"))
	require.ErrorContains(t, err, "database folder")
	_, err = Open(t.Context(), folder)
	require.ErrorContains(t, err, "is a directory")
	noise := filepath.Join(folder, "noise.db")
	require.NoError(t, os.WriteFile(noise, []byte(strings.Repeat("not a database. ", 1000)), 0o600))
	_, err = Open(t.Context(), noise)
	require.ErrorContains(t, err, "not a database")
	require.NoError(t, os.Mkdir(filepath.Join(folder, "locked.db.lock"), 0o700))
	_, err = Open(t.Context(), filepath.Join(folder, "locked.db"))
	require.ErrorContains(t, err, "database lock")
	t.Setenv("TMPDIR", filepath.Join(folder, "none"))
	_, err = OpenMemory(t.Context())
	require.ErrorContains(t, err, "temporary store")
}

func TestOddPathsOpen(t *testing.T) {
	for _, name := range []string{"a b.db", "q?x=1&mode=memory.db", "p%41.db", "h#.db", "ünï.db", "s;'\".db"} {
		path := filepath.Join(t.TempDir(), name)
		s, err := Open(t.Context(), path)
		require.NoError(t, err, name)
		require.NoError(t, s.Close())
		require.FileExists(t, path)
	}
}

func TestPragmasAreAsAsked(t *testing.T) {
	s := memory(t)
	require.NoError(t, verify(t.Context(), s.writer.conn, writerPragmas))
	require.Contains(t, s.Settings(), slog.String("synchronous", "2"))
	for name, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "5000"} {
		var got string
		require.NoError(t, s.writer.conn.QueryRowContext(t.Context(), "PRAGMA "+name).Scan(&got))
		require.Equal(t, want, got, name)
	}
	require.NoError(t, s.readers.with(t.Context(), func(ctx context.Context, r *session) error {
		return verify(ctx, r.conn, readerPragmas)
	}))
	_, err := s.writer.conn.ExecContext(t.Context(), "PRAGMA synchronous = NORMAL")
	require.NoError(t, err)
	require.EqualError(t, verify(t.Context(), s.writer.conn, writerPragmas), `synchronous is "1", must be "2"`)
}

// The reader's connection itself refuses, should a statement get past the check.
func TestReadersCannotWrite(t *testing.T) {
	s := memory(t)
	require.NoError(t, s.readers.with(t.Context(), func(ctx context.Context, r *session) error {
		for _, off := range []string{"PRAGMA query_only = 1", "PRAGMA query_only = 0"} {
			_, err := r.conn.ExecContext(ctx, off)
			require.NoError(t, err)
			_, err = r.conn.ExecContext(ctx, "INSERT INTO settings (name, value) VALUES ('a', 'b')")
			require.ErrorContains(t, err, "readonly")
		}
		return nil
	}))
}

func TestReadOnlyStore(t *testing.T) {
	s, path := reopenable(t)
	require.NoError(t, s.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error { return put(ctx, tx, "a") }))
	beside, err := OpenReadOnly(t.Context(), path)
	require.NoError(t, err)
	require.True(t, has(t, beside, "a"))
	require.NoError(t, s.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error { return put(ctx, tx, "b") }))
	require.True(t, has(t, beside, "b"))
	require.NoError(t, beside.Ping(t.Context()))
	require.ErrorIs(t, beside.Update(t.Context(), func(context.Context, *store.Tx) error { return nil }), store.ErrReadOnly)
	require.NoError(t, beside.Close())

	require.NoError(t, s.Close())
	alone, err := OpenReadOnly(t.Context(), path)
	require.NoError(t, err)
	require.True(t, has(t, alone, "b"))
	require.NoError(t, alone.Close())

	_, err = OpenReadOnly(t.Context(), path+".none")
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = OpenReadOnly(t.Context(), filepath.Join(t.TempDir(), "none", "x.db"))
	require.ErrorContains(t, err, "database folder")
}
