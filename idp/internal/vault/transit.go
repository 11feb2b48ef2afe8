package vault

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
)

// Wrap encrypts a master key under the transit key, which Vault never gives
// out. The text starts with vault:v and may stand in a file or a setting.
func (c *Client) Wrap(ctx context.Context, key []byte) (wrapped string, err error) {
	if len(key) != MasterKeySize {
		return "", errMasterKey
	}
	return c.transit(ctx, "encrypt", map[string]string{"plaintext": base64.StdEncoding.EncodeToString(key)})
}

// Rewrap returns the same key under the newest version of the transit key,
// without the key leaving Vault.
func (c *Client) Rewrap(ctx context.Context, wrapped string) (string, error) {
	return c.transit(ctx, "rewrap", map[string]string{"ciphertext": wrapped})
}

func (c *Client) transit(ctx context.Context, operation string, body map[string]string) (string, error) {
	var got struct {
		Ciphertext string `json:"ciphertext"`
	}
	if err := c.do(ctx, c.transitRequest(operation, body), &got); err != nil {
		return "", err
	}
	if !Wrapped(got.Ciphertext) {
		return "", fmt.Errorf("vault: %s: %w", operation, errAnswer)
	}
	return got.Ciphertext, nil
}

func (c *Client) transitRequest(operation string, body map[string]string) request {
	return request{
		operation: operation, method: http.MethodPut, body: body,
		path: c.options.TransitMount + "/" + operation + "/" + c.options.TransitKey,
	}
}

// Unwrap decrypts what Wrap or Rewrap returned.
func (c *Client) Unwrap(ctx context.Context, wrapped string) ([]byte, error) {
	if !Wrapped(wrapped) {
		return nil, errors.New("vault: not a key wrapped by transit")
	}
	var got struct {
		Plaintext string `json:"plaintext"`
	}
	if err := c.do(ctx, c.transitRequest("decrypt", map[string]string{"ciphertext": wrapped}), &got); err != nil {
		return nil, err
	}
	return decodeKey(got.Plaintext)
}

// WrappedMasterKey unwraps the master key in the file at name. A missing file is
// made with a random key, wrapped; of several processes that start together on
// one folder one makes it and all read the same. When the transit key has a newer
// version the file is rewritten under it. Replicas that share no folder share the
// file's text as a setting: see Unwrap.
func (c *Client) WrappedMasterKey(ctx context.Context, name string) ([]byte, error) {
	wrapped, err := secretFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		if err = c.createWrapped(ctx, name); err == nil {
			wrapped, err = secretFile(name)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("wrapped master key: %w", err)
	}
	key, err := c.Unwrap(ctx, wrapped)
	if err != nil {
		return nil, err
	}
	if err := c.renewWrapped(ctx, name, wrapped); err != nil {
		return nil, fmt.Errorf("wrapped master key: %w", err)
	}
	return key, nil
}

// KeptWrappedMasterKey is WrappedMasterKey where the file is there, else
// ErrNoMasterKey. It leaves the file as it is.
func (c *Client) KeptWrappedMasterKey(ctx context.Context, name string) ([]byte, error) {
	wrapped, err := secretFile(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, ErrNoMasterKey
	case err != nil:
		return nil, fmt.Errorf("wrapped master key: %w", err)
	}
	return c.Unwrap(ctx, wrapped)
}

func (c *Client) createWrapped(ctx context.Context, name string) error {
	key := make([]byte, MasterKeySize)
	rand.Read(key)
	wrapped, err := c.Wrap(ctx, key)
	if err != nil {
		return err
	}
	return place(name, wrapped, func(aside string) error {
		if err := os.Link(aside, name); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		return nil
	})
}

func (c *Client) renewWrapped(ctx context.Context, name, wrapped string) error {
	newer, err := c.Rewrap(ctx, wrapped)
	if err != nil {
		return err
	}
	was, err1 := wrappedVersion(wrapped)
	is, err2 := wrappedVersion(newer)
	if err := errors.Join(err1, err2); err != nil || is <= was {
		return err
	}
	return place(name, newer, func(aside string) error { return os.Rename(aside, name) })
}

// place writes a whole, synced file aside, mode 0600, and lets move put it at
// name, so that a crash leaves the old file or the new one.
func place(name, line string, move func(aside string) error) (err error) {
	folder := filepath.Dir(name)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	aside, err := os.CreateTemp(folder, ".wrapped-key-*")
	if err != nil {
		return err
	}
	defer func() {
		if gone := os.Remove(aside.Name()); !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
	}()
	_, err = aside.WriteString(line + "\n")
	if err = errors.Join(err, aside.Sync(), aside.Close()); err != nil {
		return err
	}
	if err := move(aside.Name()); err != nil {
		return err
	}
	opened, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(opened.Sync(), opened.Close())
}
