package app_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/app"
	"github.com/sentryagent/agentidp/idp/internal/revocation"
	"github.com/sentryagent/agentidp/idp/internal/store/postgres/pgtest"
	"github.com/sentryagent/agentidp/idp/internal/store/sqlite"
)

// What was revoked after a backup cannot be told from it. So nothing that was
// out before a restore is good after it, also what was never revoked.
func TestBackupAndRestore(t *testing.T) {
	i := installed(t)
	file := filepath.Join(t.TempDir(), "backup.db")
	operator := admin(t, i.cfg)
	bearer := i.login(operator)
	_, worker := i.register(bearer, "worker@example.com")
	early := i.login(worker)
	held, err := app.Backup(t.Context(), i.cfg, file, app.BackupOptions{})
	require.NoError(t, err, "beside the running IdP")
	require.Positive(t, held.Events)
	require.LessOrEqual(t, held.Signed, held.Events)
	require.Positive(t, held.Bytes)
	require.Positive(t, held.Schema)
	master, err := os.ReadFile(i.cfg.MasterKeyPath())
	require.NoError(t, err)
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	require.False(t, bytes.Contains(content, bytes.TrimSpace(master)))

	// What the backup does not know: an emergency, a cut organization, an agent.
	late := i.login(worker)
	i.did(bearer, http.MethodPost, "/api/v1/keys/rotate", map[string]any{"emergency": true})
	bearer = i.login(operator)
	for range 3 {
		i.did(bearer, http.MethodPost, "/api/v1/revocations", map[string]any{"type": "organization", "id": "default"})
		bearer = i.login(operator)
	}
	_, lost := i.register(bearer, "lost@example.com")
	last := i.login(worker)
	_, keys := get(t, i.a.Issuer()+"/.well-known/jwks.json")
	cursor, epoch, _ := i.feed(bearer, "")
	_, err = app.Restore(t.Context(), i.cfg, file)
	require.ErrorIs(t, err, sqlite.ErrInUse)
	i.stop()

	// By hand alone it does not start: the copy of the checkpoint is ahead.
	byHand := &installation{t: t, cfg: i.cfg}
	byHand.cfg.DataDir = t.TempDir()
	for name, content := range map[string][]byte{byHand.cfg.StorePath(): content, byHand.cfg.MasterKeyPath(): master, byHand.cfg.CheckpointPath(): read(t, i.cfg.CheckpointPath())} {
		require.NoError(t, os.WriteFile(name, content, 0o600))
	}
	a, err := app.New(t.Context(), byHand.cfg, app.Options{Logger: slog.New(slog.DiscardHandler), Policy: patient})
	require.NoError(t, err)
	require.ErrorContains(t, a.Run(t.Context()), "not the one that was signed")
	declared, err := app.DeclareRestored(t.Context(), byHand.cfg)
	require.NoError(t, err)

	done, err := app.Restore(t.Context(), i.cfg, file)
	require.NoError(t, err)
	for _, d := range []app.Restored{done, declared} {
		require.Equal(t, held.Events, d.Events)
		require.Equal(t, held.Root, d.Root)
		require.Equal(t, d.Known-d.Events, d.Lost())
		require.Positive(t, d.Lost())
		require.Equal(t, 1, d.Organizations)
		require.FileExists(t, filepath.Join(d.Aside, "audit.checkpoint"), "the record of the loss")
	}
	require.FileExists(t, filepath.Join(done.Aside, "agentidp.db"))
	require.NoDirExists(t, filepath.Join(i.cfg.DataDir, "restore.tmp"))
	require.Greater(t, i.verified(read(t, i.cfg.CheckpointPath())).Events, held.Events)
	for _, place := range []*installation{i, byHand} {
		place.start()
		for name, token := range map[string]string{"before the backup": early, "after it": late, "after the cuts": last, "the operator's": bearer} {
			require.False(t, place.active(operator, token), name)
		}
		fresh := place.login(operator)
		require.True(t, place.active(operator, place.login(worker)), "agents get new ones")
		status, _ := token(t, place.a, lost.ClientID, lost.ClientSecret)
		require.Equal(t, http.StatusUnauthorized, status)
		_, others := get(t, place.a.Issuer()+"/.well-known/jwks.json")
		for _, kid := range kids(others) {
			require.NotContains(t, keys, kid, "the stolen key is among those that are gone")
		}
		_, now, snapshot := place.feed(fresh, cursor)
		require.True(t, snapshot, "who is ahead takes a whole new one")
		require.NotEqual(t, epoch, now)
		_, events := place.call(fresh, http.MethodGet, "/api/v1/audit?action=store.restored", nil)
		require.Contains(t, events, fmt.Sprintf(`"events":%d,"knownEvents":%d`, done.Events, done.Known))
		require.Contains(t, events, done.Root.String())
		place.stop()
		place.verified(read(t, place.cfg.CheckpointPath()))
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	return content
}

func kids(jwks string) (found []string) {
	for _, part := range strings.Split(jwks, `"kid":"`)[1:] {
		kid, _, _ := strings.Cut(part, `"`)
		found = append(found, kid)
	}
	return found
}

// Onto a new machine, with nothing but the backup and the master key.
func TestRestoreIntoAnEmptyFolder(t *testing.T) {
	i := installed(t)
	operator := admin(t, i.cfg)
	i.stop()
	file := filepath.Join(t.TempDir(), "backup.db")
	held, err := app.Backup(t.Context(), i.cfg, file, app.BackupOptions{})
	require.NoError(t, err, "without a running IdP")
	elsewhere := &installation{t: t, cfg: i.cfg}
	elsewhere.cfg.DataDir = filepath.Join(t.TempDir(), "data")
	require.NoError(t, os.Mkdir(elsewhere.cfg.DataDir, 0o700))
	_, err = app.Restore(t.Context(), elsewhere.cfg, file)
	require.ErrorIs(t, err, app.ErrNoMasterKey)
	_, err = app.DeclareRestored(t.Context(), elsewhere.cfg)
	require.ErrorIs(t, err, app.ErrNoMasterKey)
	require.NoFileExists(t, elsewhere.cfg.MasterKeyPath())
	require.NoError(t, os.WriteFile(elsewhere.cfg.MasterKeyPath(), read(t, i.cfg.MasterKeyPath()), 0o600))
	done, err := app.Restore(t.Context(), elsewhere.cfg, file)
	require.NoError(t, err)
	require.Equal(t, held.Events, done.Events)
	require.Zero(t, done.Known)
	require.Zero(t, done.Lost())
	elsewhere.start()
	elsewhere.login(operator)
	elsewhere.stop()

	// A second restore of the same, and the same again declared: both are fine.
	done, err = app.Restore(t.Context(), elsewhere.cfg, file)
	require.NoError(t, err)
	require.Positive(t, done.Lost(), "the event of the first restore")
	done, err = app.DeclareRestored(t.Context(), elsewhere.cfg)
	require.NoError(t, err)
	require.Zero(t, done.Lost())
	require.Empty(t, done.Aside)
}

func TestWhatIsNotRestored(t *testing.T) {
	i := installed(t)
	i.stop()
	before := i.verified().Events
	folder := t.TempDir()
	file := filepath.Join(folder, "backup.db")
	_, err := app.Backup(t.Context(), i.cfg, file, app.BackupOptions{})
	require.NoError(t, err)
	good := read(t, file)

	bad := &installation{t: t, cfg: i.cfg}
	bad.cfg.DataDir = t.TempDir()
	require.NoError(t, os.WriteFile(bad.cfg.StorePath(), good, 0o600))
	tamper(t, bad.cfg, "DROP TRIGGER events_never_updated", "UPDATE events SET agent_id = 'other' WHERE sequence = 1")
	_, err = app.Restore(t.Context(), i.cfg, bad.cfg.StorePath())
	require.ErrorContains(t, err, "not valid: event 1")

	// The log is as it was, what it is about is not.
	require.NoError(t, os.WriteFile(bad.cfg.StorePath(), good, 0o600))
	tamper(t, bad.cfg, "PRAGMA writable_schema = 1; DELETE FROM sqlite_master WHERE name = 'credentials_listed'")
	_, err = app.Restore(t.Context(), i.cfg, bad.cfg.StorePath())
	require.ErrorIs(t, err, sqlite.ErrDamaged)

	other := installed(t) // another installation's history, and its master key
	other.stop()
	_, err = app.Restore(t.Context(), other.cfg, file)
	require.ErrorContains(t, err, "master key")
	foreign := i.cfg
	foreign.DataDir = t.TempDir()
	require.NoError(t, os.WriteFile(foreign.MasterKeyPath(), read(t, i.cfg.MasterKeyPath()), 0o600))
	require.NoError(t, os.WriteFile(foreign.CheckpointPath(), read(t, other.cfg.CheckpointPath()), 0o600))
	_, err = app.Restore(t.Context(), foreign, file)
	require.ErrorIs(t, err, app.ErrOtherHistory)
	require.NoFileExists(t, foreign.StorePath())

	require.NoError(t, os.WriteFile(file+"-wal", []byte("x"), 0o600))
	_, err = app.Restore(t.Context(), i.cfg, file)
	require.ErrorContains(t, err, "write-ahead log")
	_, err = app.Restore(t.Context(), i.cfg, filepath.Join(folder, "none.db"))
	require.ErrorIs(t, err, os.ErrNotExist)
	text := filepath.Join(folder, "text")
	require.NoError(t, os.WriteFile(text, []byte(strings.Repeat("no database ", 400)), 0o600))
	_, err = app.Restore(t.Context(), i.cfg, text)
	require.Error(t, err)
	require.Equal(t, before, i.verified().Events, "the store is as it was")
	require.NoDirExists(t, filepath.Join(i.cfg.DataDir, "restore.tmp"))

	server := i.cfg
	server.DatabaseURL = "postgres://db.example.com/agentidp"
	_, err = app.Restore(t.Context(), server, file)
	require.ErrorIs(t, err, app.ErrServerRestore)
	_, err = app.Backup(t.Context(), server, file, app.BackupOptions{})
	require.ErrorIs(t, err, app.ErrServerBackup)
}

// A backup is not made of a store whose checkpoint says otherwise.
func TestABackupIsHeldAgainstTheCheckpoint(t *testing.T) {
	i := installed(t)
	i.stop()
	for name, statements := range map[string][]string{
		"a tree that was cut":       {"DROP TRIGGER tree_hashes_only_grow", "UPDATE tree_head SET size = 1"},
		"a hash that was changed":   {"DROP TRIGGER tree_hashes_only_grow", "UPDATE tree_hashes SET hashes = zeroblob(length(hashes))"},
		"no checkpoint":             {"DROP TRIGGER checkpoints_never_deleted", "DELETE FROM checkpoints"},
		"another key's checkpoints": {"UPDATE keys SET public = x'6f74686572' WHERE use = 'checkpoint'"},
		"no key":                    {"DELETE FROM keys WHERE use = 'checkpoint'"},
	} {
		t.Run(name, func(t *testing.T) {
			bad := i.cfg
			bad.DataDir = t.TempDir()
			require.NoError(t, os.WriteFile(bad.StorePath(), read(t, i.cfg.StorePath()), 0o600))
			tamper(t, bad, statements...)
			file := filepath.Join(t.TempDir(), "backup.db")
			_, err := app.Backup(t.Context(), bad, file, app.BackupOptions{})
			require.Error(t, err)
			require.NoFileExists(t, file)
		})
	}
}

// After a point-in-time recovery of PostgreSQL, here the deletion of what came later.
func TestDeclareOnPostgres(t *testing.T) {
	i := installed(t)
	operator := admin(t, i.cfg)
	out := i.login(operator)
	i.stop()
	i.masterKeySetting()
	i.cfg.DatabaseURL = pgtest.URL(t)
	require.NoError(t, app.Migrate(t.Context(), i.cfg, func(string) {}))
	moved, err := app.MoveToPostgres(t.Context(), i.cfg, func(string, int64) {})
	require.NoError(t, err)
	done, err := app.DeclareRestored(t.Context(), i.cfg)
	require.NoError(t, err)
	require.Equal(t, moved.Target.Root, done.Root)
	i.start()
	require.False(t, i.active(operator, out))
	i.login(operator)

	// What a replica that runs has in memory is of the lost history: it ends.
	operators := i.cfg
	operators.DataDir = t.TempDir()
	_, err = app.DeclareRestored(t.Context(), operators)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		status, _ := get(t, i.a.Issuer()+"/health")
		return status == 0
	}, time.Minute, 10*time.Millisecond)
	require.ErrorIs(t, i.end(), revocation.ErrRestored)
	i.start()
	i.login(operator)
	i.stop()
}
