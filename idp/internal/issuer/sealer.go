package issuer

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
)

// MasterKeySize is the length of a master key, in bytes.
const MasterKeySize = 32

// The labels of the keys that come from the master key. A label is never reused for another purpose.
const (
	sealLabel   = "agentidp seal v1"
	deriveLabel = "agentidp derive v1: "
)

// sealVersion is the first byte of everything sealed; it names the algorithm.
const sealVersion = 1

// maxSealed bounds what is sealed: key material, never documents.
const maxSealed = 64 << 10

// ErrSeal says that sealed bytes do not open: another master key, another
// purpose, or not the bytes that were sealed.
var ErrSeal = errors.New("sealed under another master key, for another use, or altered")

// Sealer keeps key material unreadable at rest: AES-256-GCM with random nonces
// under a key derived from the master key by HKDF-SHA256. Safe for concurrent use.
type Sealer struct {
	aead   cipher.AEAD
	master []byte
}

// NewSealer makes a Sealer from a master key of MasterKeySize bytes.
func NewSealer(masterKey []byte) (*Sealer, error) {
	if len(masterKey) != MasterKeySize {
		return nil, fmt.Errorf("master key: must be %d bytes, is %d", MasterKeySize, len(masterKey))
	}
	s := &Sealer{master: append([]byte(nil), masterKey...)}
	key, err := hkdf.Key(sha256.New, s.master, nil, sealLabel, 32)
	if err != nil {
		return nil, fmt.Errorf("derive the sealing key: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("sealing cipher: %w", err)
	}
	s.aead, err = cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("sealing cipher: %w", err)
	}
	return s, nil
}

// Seal encrypts plain, at most 64 KiB, so that it opens only with the same aad,
// which says what it is for. The result is version, nonce, ciphertext and tag.
func (s *Sealer) Seal(plain, aad []byte) ([]byte, error) {
	if len(plain) > maxSealed {
		return nil, fmt.Errorf("seal: %d bytes are more than %d", len(plain), maxSealed)
	}
	return s.aead.Seal([]byte{sealVersion}, nil, plain, versioned(aad)), nil //nolint:gosec // the mode draws its nonce itself
}

// Open decrypts what Seal made with the same aad. Every failure is ErrSeal.
func (s *Sealer) Open(sealed, aad []byte) ([]byte, error) {
	if len(sealed) == 0 || sealed[0] != sealVersion {
		return nil, ErrSeal
	}
	plain, err := s.aead.Open(nil, nil, sealed[1:], versioned(aad))
	if err != nil {
		return nil, ErrSeal
	}
	return plain, nil
}

func versioned(aad []byte) []byte { return append([]byte{sealVersion}, aad...) }

// Derive returns 32 secret bytes that depend on the master key and the label
// only. They tell nothing about each other or about the sealing key.
func (s *Sealer) Derive(label string) []byte {
	key, err := hkdf.Key(sha256.New, s.master, nil, deriveLabel+label, 32)
	if err != nil { // only for lengths that HKDF cannot give
		panic(fmt.Sprintf("derive %q: %v", label, err))
	}
	return key
}
