package batchsign

import (
	"crypto/sha256"
	"crypto/x509"
	_ "embed"
	"errors"
	"fmt"
	"sync"
)

// A key that guards nothing, and what OpenSSL signs with it: `printf 'known answer' |
// openssl dgst -sha256 -sign key`.
//
//go:embed known/key.der
var knownKey []byte

//go:embed known/signature
var knownSignature string

// knownAnswer signs in all lanes, once in a process.
var knownAnswer = sync.OnceValue(func() error {
	private, err := x509.ParsePKCS1PrivateKey(knownKey)
	if err != nil {
		return fmt.Errorf("batchsign: known answer: %w", err)
	}
	key, err := NewKey(private)
	if err != nil {
		return err
	}
	one := sha256.Sum256([]byte("known answer"))
	var out [4]signature
	if err := key.sign(new(pass), &[4]digest{one, one, one, one}, &out); err != nil {
		return fmt.Errorf("batchsign: known answer: %w", err)
	}
	for i := range out {
		if string(out[i][:]) != knownSignature {
			return errors.New("batchsign: another answer than the known one")
		}
	}
	return nil
})
