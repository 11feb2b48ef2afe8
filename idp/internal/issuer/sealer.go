// Package issuer holds the signing keys: sealed under the master key at rest,
// loaded once, published as a JWKS, and used to mint tokens.
package issuer

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
)

// MasterKeySize is the length of the master key, in bytes.
const MasterKeySize = 32

// Sealer encrypts small secrets under the master key: AES-256-GCM with a random
// nonce, under a key derived by HKDF-SHA256 (RFC 5869).
type Sealer struct {
	master []byte
	aead   cipher.AEAD
}

// NewSealer takes the 32-byte master key.
func NewSealer(master []byte) (*Sealer, error) {
	if len(master) != MasterKeySize {
		return nil, fmt.Errorf("the master key must be %d bytes, not %d", MasterKeySize, len(master))
	}
	s := &Sealer{master: append([]byte(nil), master...)}
	key, err := s.Derive("seal")
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("sealer: %w", err)
	}
	if s.aead, err = cipher.NewGCMWithRandomNonce(block); err != nil {
		return nil, fmt.Errorf("sealer: %w", err)
	}
	return s, nil
}

// Derive gives a 32-byte key for one purpose.
func (s *Sealer) Derive(label string) ([]byte, error) {
	key, err := hkdf.Key(sha256.New, s.master, nil, "agentidp/v1/"+label, sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("derive %s: %w", label, err)
	}
	return key, nil
}

// Seal encrypts plain and binds it to aad, which says what it is.
func (s *Sealer) Seal(plain, aad []byte) ([]byte, error) {
	if len(plain) == 0 {
		return nil, errors.New("nothing to seal")
	}
	return s.aead.Seal(nil, nil, plain, aad), nil
}

// ErrSeal says that something sealed does not open: another master key, or changed.
var ErrSeal = errors.New("sealed value does not open under this master key")

// Open decrypts what Seal made with the same aad.
func (s *Sealer) Open(sealed, aad []byte) ([]byte, error) {
	plain, err := s.aead.Open(nil, nil, sealed, aad)
	if err != nil {
		return nil, ErrSeal
	}
	return plain, nil
}

// NewMasterKey makes a random master key.
func NewMasterKey() ([]byte, error) {
	key := make([]byte, MasterKeySize)
	if _, err := rand.Read(key); err != nil {
		return nil, fmt.Errorf("master key: %w", err)
	}
	return key, nil
}
