package statuslist

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"fmt"

	"github.com/sentryagent/agentidp/idp/internal/store"
)

// listBytes is a list of one bit a token, index 0 in the lowest of the first byte (section 4.1).
const listBytes = store.StatusListSize / 8

func set(list []byte, index int64) (was bool) {
	mask := byte(1) << (index % 8)
	was = list[index/8]&mask != 0
	list[index/8] |= mask
	return was
}

// compress makes lst of a list (section 4.2): zlib at its best, in base64url.
func compress(list []byte) (string, error) {
	var packed bytes.Buffer
	w, err := zlib.NewWriterLevel(&packed, zlib.BestCompression)
	if err == nil {
		_, err = w.Write(list)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return "", fmt.Errorf("compress a status list: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(packed.Bytes()), nil
}
