package issuer

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// LoadMasterKey returns the master key: from value, base64 or hex of 32 bytes,
// when it is not empty, else from the file at path. A missing file is made,
// mode 0600, with a random key; of several processes that start together one
// makes it and all read the same. A file that others than its owner may read
// or write is refused.
func LoadMasterKey(value, path string) ([]byte, error) {
	if value != "" {
		key, err := parseMasterKey(value)
		if err != nil {
			return nil, fmt.Errorf("master key: %w", err)
		}
		return key, nil
	}
	key, err := readMasterKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = createMasterKey(path); err == nil {
			key, err = readMasterKey(path)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("master key: %w", err)
	}
	return key, nil
}

func parseMasterKey(text string) ([]byte, error) {
	text = strings.TrimSpace(text)
	decoders := []func(string) ([]byte, error){
		hex.DecodeString,
		base64.StdEncoding.DecodeString, base64.RawStdEncoding.DecodeString,
		base64.URLEncoding.DecodeString, base64.RawURLEncoding.DecodeString,
	}
	for _, decode := range decoders {
		if key, err := decode(text); err == nil && len(key) == MasterKeySize {
			return key, nil
		}
	}
	return nil, errors.New("must be 32 bytes in base64 or hex")
}

func readMasterKey(path string) (key []byte, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s must be a plain file with mode 0600, is %v", path, info.Mode())
	}
	const limit = 1 << 10
	text, err := io.ReadAll(io.LimitReader(file, limit))
	if err != nil {
		return nil, err
	}
	key, err = parseMasterKey(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s %w", path, err)
	}
	return key, nil
}

// createMasterKey writes a whole, synced file aside and links it into place: a
// crash leaves no half key, and the link fails when another process was first.
func createMasterKey(path string) (err error) {
	folder := filepath.Dir(path)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	aside, err := os.CreateTemp(folder, ".master-key-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(aside.Name())) }()
	key := make([]byte, MasterKeySize)
	if _, err := rand.Read(key); err != nil {
		return err
	}
	_, err = aside.WriteString(base64.StdEncoding.EncodeToString(key) + "\n")
	if err = errors.Join(err, aside.Sync(), aside.Close()); err != nil {
		return err
	}
	if err := os.Link(aside.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncFolder(folder)
}

func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
