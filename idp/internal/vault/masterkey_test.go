package vault_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/idp/internal/vault"
)

// agree runs make in several replicas at once and demands one key of them.
func (w *world) agree(make func(c *vault.Client) ([]byte, error)) []byte {
	w.Helper()
	var all sync.WaitGroup
	keys := [8][]byte{}
	for i := range keys {
		client := w.open()
		all.Go(func() {
			var err error
			if keys[i], err = make(client); err != nil {
				w.Error(w.err(err))
			}
		})
	}
	all.Wait()
	for _, key := range keys {
		require.Len(w, key, vault.MasterKeySize)
		require.Equal(w, keys[0], key)
	}
	return keys[0]
}

func TestMasterKeyInKV(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		const at = "agentidp/master-key"
		_, err := w.open().KeptMasterKey(t.Context())
		require.ErrorIs(t, w.err(err), vault.ErrNoMasterKey)
		require.Zero(t, w.server.Versions(t, w.mount, at), "who only looks makes none")
		key := w.agree(func(c *vault.Client) ([]byte, error) { return c.MasterKey(t.Context()) })
		require.Equal(t, 1, w.server.Versions(t, w.mount, at), "one made it")
		for _, read := range []func(*vault.Client, context.Context) ([]byte, error){(*vault.Client).MasterKey, (*vault.Client).KeptMasterKey} {
			again, err := read(w.open(), t.Context())
			require.NoError(t, err)
			require.Equal(t, key, again)
		}

		// What was deleted is missed, not made anew: everything is sealed under it.
		w.server.DeleteNewest(t, w.mount, at)
		_, err = w.open().MasterKey(t.Context())
		require.ErrorContains(t, w.err(err), "deleted")
		_, err = w.open().KeptMasterKey(t.Context())
		require.ErrorIs(t, w.err(err), vault.ErrNoMasterKey)
		require.NotErrorIs(t, err, store.ErrUnavailable)
		require.Zero(t, w.server.Versions(t, w.mount, at))

		for i, text := range []string{"", "AAAA", "not base64", strings.Repeat("A", 88)} {
			w.server.Write(t, w.mount, at, i+1, map[string]any{"key": text})
			_, err = w.open().MasterKey(t.Context())
			require.ErrorContains(t, w.err(err), "32 bytes")
		}
	})
}

func TestMasterKeyWrapped(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.options.TransitKey = w.server.TransitKey(t)
		file := filepath.Join(t.TempDir(), "made", "master-key.wrapped")
		read := func(c *vault.Client) ([]byte, error) { return c.WrappedMasterKey(t.Context(), file) }
		line := func() string {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			return strings.TrimSpace(string(text))
		}
		_, err := w.open().KeptWrappedMasterKey(t.Context(), file)
		require.ErrorIs(t, w.err(err), vault.ErrNoMasterKey)
		require.NoFileExists(t, file)
		key := w.agree(read)
		info, err := os.Stat(file)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
		require.True(t, strings.HasPrefix(line(), "vault:v1:"))
		require.True(t, vault.Wrapped(line()))

		before := line()
		require.Equal(t, key, w.agree(read))
		require.Equal(t, before, line(), "left alone")
		w.server.RotateTransitKey(t, w.options.TransitKey)
		kept, err := w.open().KeptWrappedMasterKey(t.Context(), file)
		require.NoError(t, err)
		require.Equal(t, key, kept)
		require.Equal(t, before, line(), "who only looks rewraps nothing")
		require.Equal(t, key, w.agree(read))
		require.True(t, strings.HasPrefix(line(), "vault:v2:"), "rewrapped")
		entries, err := os.ReadDir(filepath.Dir(file))
		require.NoError(t, err)
		require.Len(t, entries, 1, "nothing is left aside")

		// As a setting.
		client := w.open()
		for _, text := range []string{before, line()} {
			got, err := client.Unwrap(t.Context(), text)
			require.NoError(t, err)
			require.Equal(t, key, got)
		}
	})
}

func TestWrappedMasterKeyFailures(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.options.TransitKey = w.server.TransitKey(t)
		client := w.open()
		file := filepath.Join(t.TempDir(), "master-key.wrapped")
		key, err := client.WrappedMasterKey(t.Context(), file)
		require.NoError(t, err)
		for _, size := range []int{0, 16, 33} {
			_, err := client.Wrap(t.Context(), make([]byte, size))
			require.Error(t, err)
		}
		for _, text := range []string{"", "vault:v1:", "vault:v0:AAAA", "AAAA", "vault:vx:AAAA"} {
			require.False(t, vault.Wrapped(text))
			_, err := client.Unwrap(t.Context(), text)
			require.Error(t, err)
		}
		_, err = client.Unwrap(t.Context(), "vault:v1:c29tZXRoaW5nIGVsc2UgdGhhdCBpcyBsb25nIGVub3VnaA==")
		require.Error(t, w.err(err))
		require.NotErrorIs(t, err, store.ErrUnavailable)

		w.options.TransitKey = w.server.TransitKey(t)
		_, err = w.open().WrappedMasterKey(t.Context(), file)
		require.Error(t, w.err(err), "another transit key")

		folder := t.TempDir()
		_, err = client.WrappedMasterKey(t.Context(), folder)
		require.Error(t, w.err(err))
		require.NoError(t, os.WriteFile(filepath.Join(folder, "plain"), nil, 0o600))
		_, err = client.WrappedMasterKey(t.Context(), filepath.Join(folder, "plain", "key"))
		require.Error(t, w.err(err))

		if !w.server.CanSeal() {
			return
		}
		w.server.Seal(t)
		_, err = client.WrappedMasterKey(t.Context(), file)
		require.ErrorIs(t, w.err(err), vault.ErrUnavailable)
		_, err = client.WrappedMasterKey(t.Context(), file+"2")
		require.ErrorIs(t, w.err(err), vault.ErrUnavailable)
		_, err = client.MasterKey(t.Context())
		require.ErrorIs(t, w.err(err), vault.ErrUnavailable)
		w.server.Unseal(t)
		require.Eventually(t, func() bool {
			again, err := client.WrappedMasterKey(t.Context(), file)
			return err == nil && string(again) == string(key)
		}, soon, tick)
	})
}
