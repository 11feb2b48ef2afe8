// Package websocket is what a proxy needs to know of RFC 6455 and no more: the
// handshake's proof, where frames begin and end, and how to say goodbye. Pure
// functions over bytes; payloads are neither unmasked, joined nor kept.
package websocket

import (
	"crypto/sha1" //nolint:gosec // RFC 6455 section 1.3: proof that the handshake was understood, no secret
	"encoding/base64"
	"encoding/binary"
	"unicode/utf8"
)

// Version is the only one there is (RFC 6455 section 4.1).
const Version = "13"

// Status codes of a Close frame (RFC 6455 section 7.4.1).
const (
	GoingAway     uint16 = 1001
	ProtocolError uint16 = 1002
	Policy        uint16 = 1008
	TooBig        uint16 = 1009
	InternalError uint16 = 1011
)

const (
	keySize = 24 // base64 of 16 bytes
	guid    = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
)

var strict = base64.StdEncoding.Strict()

// ValidKey reports whether the value of Sec-WebSocket-Key is the one base64
// spelling of 16 bytes.
func ValidKey(key []byte) bool {
	var nonce [18]byte
	if len(key) != keySize {
		return false
	}
	for _, c := range key {
		if c == '\r' || c == '\n' {
			return false // the decoder skips them
		}
	}
	n, err := strict.Decode(nonce[:], key)
	return err == nil && n == 16
}

// Accept is the only Sec-WebSocket-Accept that answers the key.
func Accept(key []byte) string {
	sum := sha1.Sum(append(append(make([]byte, 0, keySize+len(guid)), key...), guid...)) //nolint:gosec // see the import
	return base64.StdEncoding.EncodeToString(sum[:])
}

// AppendClose writes a Close frame. mask is nil for a frame to a client and
// four random bytes for one to a server (RFC 6455 section 5.3). A reason that
// does not fit into a control frame, or is not UTF-8, is left out.
func AppendClose(b []byte, code uint16, reason string, mask *[4]byte) []byte {
	if len(reason) > maxControl-2 || !utf8.ValidString(reason) {
		reason = ""
	}
	size := byte(2 + len(reason))
	if mask != nil {
		b = append(append(b, final|opClose, masked|size), mask[:]...)
	} else {
		b = append(b, final|opClose, size)
	}
	payload := len(b)
	b = append(binary.BigEndian.AppendUint16(b, code), reason...)
	if mask != nil {
		for i := range b[payload:] {
			b[payload+i] ^= mask[i%4]
		}
	}
	return b
}
