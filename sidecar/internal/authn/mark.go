package authn

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"sync"
	"unsafe"
)

// mark stands for a token's text in the cache.
type mark [16]byte

// marker makes marks: GMAC under a key of this process, a seventh of what SHA-256
// takes, on every request. Its nonce is always the same, which is safe because no
// mark leaves the process: who does not know the key finds a text with the mark of
// another by chance only, at most one in 2^112 tries.
type marker struct {
	gmac  cipher.AEAD // nil: where FIPS 140 forbids that nonce
	nonce []byte
}

func newMarker() (marker, error) {
	var key [32]byte
	_, _ = rand.Read(key[:]) // never fails
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return marker{}, fmt.Errorf("token marks: %w", err)
	}
	gmac, err := cipher.NewGCM(block)
	if err != nil {
		return marker{}, nil //nolint:nilerr // SHA-256 does as well, only slower
	}
	return marker{gmac: gmac, nonce: make([]byte, gmac.NonceSize())}, nil
}

func (m *marker) of(raw string) (made mark) {
	text := bytesOf(raw)
	if m.gmac == nil {
		digest := sha256.Sum256(text)
		return mark(digest[:])
	}
	room := rooms.Get().(*mark)
	m.gmac.Seal(room[:0], m.nonce, nil, text)
	made = *room
	rooms.Put(room)
	return made
}

// rooms are where marks are made: what is passed to an interface has to be on the heap.
var rooms = sync.Pool{New: func() any { return new(mark) }}

// bytesOf is the text of s, only to be read, for as long as s: it saves a copy.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) } //nolint:gosec // nobody writes to it
