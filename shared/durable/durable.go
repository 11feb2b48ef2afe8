// Package durable replaces files so that a reader, and the next start after a
// crash or a power cut, finds the old content or the new, never half.
package durable

import (
	"errors"
	"io"
	"os"
	"path/filepath"
)

// Replace puts under path, mode 0600, what write produces, and returns when it
// is on disk. One process at a time may do so for a path: what it has not
// finished lies beside it under the same name with ".tmp".
func Replace(path string, write func(io.Writer) error) error {
	temporary := path + ".tmp"
	file, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if err = write(file); err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	return SyncDir(filepath.Dir(path))
}

// WriteFile is Replace with what is in memory already.
func WriteFile(path string, content []byte) error {
	return Replace(path, func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
}

// SyncDir makes the names in a folder durable: those made, renamed and removed.
func SyncDir(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
