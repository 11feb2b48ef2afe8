package vault

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
)

// MasterKeySize is the length of a master key, in bytes.
const MasterKeySize = 32

// ErrNoMasterKey says that there is no master key where one is kept.
var ErrNoMasterKey = errors.New("vault: no master key is kept there")

// errMasterKey says that there is something else where the master key should be.
var errMasterKey = errors.New("vault: what is kept as master key is not 32 bytes")

// MasterKey reads the master key at agentidp/master-key in KV. When there never
// was one it makes one, with check-and-set, so that of several replicas one makes
// it and all read the same. A key that somebody deleted is not made anew, because
// what is sealed under it would be lost: undelete its version, or destroy its
// metadata to start afresh.
func (c *Client) MasterKey(ctx context.Context) ([]byte, error) {
	key, err := c.readMasterKey(ctx)
	if !errors.Is(err, errAbsent) {
		return key, err
	}
	fresh := make([]byte, MasterKeySize)
	rand.Read(fresh)
	err = c.do(ctx, request{
		operation: "write-master-key", method: http.MethodPut, path: c.masterKeyPath(),
		body: map[string]any{
			"data":    map[string]string{"key": base64.StdEncoding.EncodeToString(fresh)},
			"options": map[string]any{"cas": 0},
		},
	}, nil)
	if err != nil && !errors.Is(err, ErrConflict) {
		return nil, err
	}
	// Also after our own write: what counts is what the next start will read.
	key, err = c.readMasterKey(ctx)
	if errors.Is(err, errAbsent) {
		return nil, errors.New("vault: the master key was deleted")
	}
	return key, err
}

// KeptMasterKey is MasterKey where there is one, else ErrNoMasterKey. It makes none.
func (c *Client) KeptMasterKey(ctx context.Context) ([]byte, error) {
	key, err := c.readMasterKey(ctx)
	if errors.Is(err, errAbsent) {
		return nil, ErrNoMasterKey
	}
	return key, err
}

func (c *Client) masterKeyPath() string { return c.options.Mount + "/data/agentidp/master-key" }

func (c *Client) readMasterKey(ctx context.Context) ([]byte, error) {
	var got struct {
		Data struct {
			Key string `json:"key"`
		} `json:"data"`
	}
	if err := c.do(ctx, request{operation: "read-master-key", path: c.masterKeyPath()}, &got); err != nil {
		return nil, err
	}
	return decodeKey(got.Data.Key)
}

func decodeKey(text string) ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(key) != MasterKeySize {
		return nil, errMasterKey
	}
	return key, nil
}

// Wrapped reports whether text is a key that Wrap returned, by its form.
func Wrapped(text string) bool {
	_, err := wrappedVersion(text)
	return err == nil
}

// wrappedVersion is the version of the transit key, as in vault:v3:….
func wrappedVersion(text string) (version int, err error) {
	var rest string
	if n, err := fmt.Sscanf(text, "vault:v%d:%s", &version, &rest); n != 2 || err != nil || version < 1 {
		return 0, errors.New("vault: not a key wrapped by transit")
	}
	return version, nil
}
