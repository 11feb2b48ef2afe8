//go:build !libcrypto

package libcrypto

import (
	"crypto"
	"crypto/rsa"
	"errors"
)

// Name of the backend.
const Name = "libcrypto"

// Available reports whether this binary holds libcrypto.
const Available = false

// Open refuses: the binary was built without libcrypto.
func Open(*rsa.PrivateKey) (crypto.Signer, error) {
	return nil, errors.New("libcrypto: not in this binary")
}
