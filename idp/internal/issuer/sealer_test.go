package issuer

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func newSealer(t testing.TB, fill byte) *Sealer {
	sealer, err := NewSealer(bytes.Repeat([]byte{fill}, MasterKeySize))
	require.NoError(t, err)
	return sealer
}

func TestSealer(t *testing.T) {
	sealer := newSealer(t, 7)
	plain, aad := []byte("private key"), []byte("for this use")
	sealed, err := sealer.Seal(plain, aad)
	require.NoError(t, err)
	require.NotContains(t, string(sealed), "private")
	again, err := sealer.Seal(plain, aad)
	require.NoError(t, err)
	require.NotEqual(t, sealed, again, "a fresh nonce each time")

	got, err := newSealer(t, 7).Open(sealed, aad)
	require.NoError(t, err)
	require.Equal(t, plain, got)

	shut := func(s *Sealer, sealed, aad []byte) {
		t.Helper()
		_, err := s.Open(sealed, aad)
		require.ErrorIs(t, err, ErrSeal)
	}
	shut(newSealer(t, 8), sealed, aad)
	shut(sealer, sealed, []byte("for another use"))
	shut(sealer, sealed, nil)
	shut(sealer, nil, aad)
	shut(sealer, []byte{sealVersion}, aad)
	shut(sealer, sealed[:len(sealed)-1], aad)
	for at := range sealed {
		changed := bytes.Clone(sealed)
		changed[at] ^= 1
		shut(sealer, changed, aad)
	}

	_, err = sealer.Seal(make([]byte, maxSealed+1), nil)
	require.Error(t, err)
	_, err = NewSealer(make([]byte, 31))
	require.Error(t, err)
}

func TestDerive(t *testing.T) {
	a := newSealer(t, 1).Derive("pepper")
	require.Len(t, a, 32)
	require.Equal(t, a, newSealer(t, 1).Derive("pepper"))
	require.NotEqual(t, a, newSealer(t, 1).Derive("pepper2"))
	require.NotEqual(t, a, newSealer(t, 2).Derive("pepper"))
	// Pinned, and as another HKDF computes it: a change would orphan everything kept under a derived key.
	require.Equal(t, "2ba8b610", hex.EncodeToString(a[:4]))
}

func TestLoadMasterKeyValue(t *testing.T) {
	key := bytes.Repeat([]byte{0xfb, 0xff}, 16)
	nowhere := filepath.Join(t.TempDir(), "master.key")
	for _, text := range []string{
		hex.EncodeToString(key), base64.StdEncoding.EncodeToString(key), base64.RawStdEncoding.EncodeToString(key),
		base64.URLEncoding.EncodeToString(key), base64.RawURLEncoding.EncodeToString(key) + "\n",
	} {
		got, err := LoadMasterKey(text, nowhere)
		require.NoError(t, err)
		require.Equal(t, key, got)
	}
	for _, text := range []string{"too short", "a secret text", hex.EncodeToString(key[:31]), base64.StdEncoding.EncodeToString(key[:16])} {
		_, err := LoadMasterKey(text, nowhere)
		require.Error(t, err)
		require.NotContains(t, err.Error(), text)
	}
	_, err := os.Stat(nowhere)
	require.ErrorIs(t, err, fs.ErrNotExist, "the file is not touched when the value is given")
}

func TestLoadMasterKeyFile(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "data")
	path := filepath.Join(folder, "master.key")
	keys := make([][]byte, 8)
	errs := make([]error, len(keys))
	var group sync.WaitGroup
	for n := range keys {
		group.Go(func() { keys[n], errs[n] = LoadMasterKey("", path) })
	}
	group.Wait()
	for n := range keys {
		require.NoError(t, errs[n])
		require.Len(t, keys[n], MasterKeySize)
		require.Equal(t, keys[0], keys[n], "all read what one wrote")
	}
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	left, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Len(t, left, 1, "nothing is left aside")

	for _, mode := range []os.FileMode{0o640, 0o604, 0o620, 0o660} {
		require.NoError(t, os.Chmod(path, mode))
		_, err = LoadMasterKey("", path)
		require.ErrorContains(t, err, "0600")
	}
	require.NoError(t, os.Chmod(path, 0o400))
	_, err = LoadMasterKey("", path)
	require.NoError(t, err)

	require.NoError(t, os.Chmod(path, 0o600))
	require.NoError(t, os.WriteFile(path, []byte("short"), 0o600))
	_, err = LoadMasterKey("", path)
	require.ErrorContains(t, err, "32 bytes")
	_, err = LoadMasterKey("", folder)
	require.ErrorContains(t, err, "plain file")
	_, err = LoadMasterKey("", filepath.Join(path, "below", "master.key"))
	require.Error(t, err)
}
