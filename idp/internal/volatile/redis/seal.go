package redis

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"time"
)

// namer names keys and seals values with what only replicas know: Redis learns
// neither client ids nor addresses, and who can write to it can replay a value
// at its own name until it expires, but make none.
type namer struct{ names, values []byte }

func newNamer(key []byte) namer {
	return namer{names: digest(key, []byte("names")), values: digest(key, []byte("values"))}
}

func digest(key []byte, parts ...[]byte) []byte {
	mac := hmac.New(sha256.New, key)
	for _, part := range parts {
		mac.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		mac.Write(part)
	}
	return mac.Sum(nil)
}

// name is the Redis key of something. The braces are Cluster's hash tag.
func (n namer) name(kind string, parts ...string) string {
	all := [][]byte{[]byte(kind)}
	for _, part := range parts {
		all = append(all, []byte(part))
	}
	return "agentidp:" + kind + ":{" + base64.RawURLEncoding.EncodeToString(digest(n.names, all...)[:16]) + "}"
}

// sealSize is what a seal adds to a value: version, expiry in Unix ms, MAC.
const (
	sealVersion = 1
	headerSize  = 1 + 8
	sealSize    = headerSize + sha256.Size
)

func (n namer) seal(name string, value []byte, expires time.Time) []byte {
	sealed := append(make([]byte, 0, sealSize+len(value)), sealVersion)
	sealed = binary.BigEndian.AppendUint64(sealed, uint64(expires.UnixMilli()))
	sealed = append(sealed, digest(n.values, []byte(name), sealed, value)...)
	return append(sealed, value...)
}

var errSeal = errors.New("a value that no replica wrote")

// unseal returns the value and how long it is good; nothing if it expired.
func (n namer) unseal(name string, sealed []byte, now time.Time) (value []byte, ttl time.Duration, err error) {
	if len(sealed) < sealSize || sealed[0] != sealVersion {
		return nil, 0, errSeal
	}
	header, mac, value := sealed[:headerSize], sealed[headerSize:sealSize], sealed[sealSize:]
	if !hmac.Equal(mac, digest(n.values, []byte(name), header, value)) {
		return nil, 0, errSeal
	}
	ttl = time.UnixMilli(int64(binary.BigEndian.Uint64(header[1:]))).Sub(now)
	if ttl <= 0 {
		return nil, 0, nil
	}
	return value, ttl, nil
}
