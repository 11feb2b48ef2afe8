package clientauth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/sentryagent/agentidp/shared/token"
)

// The algorithms of client assertions. A key is for those of its type alone.
const (
	algRS256 = "RS256"
	algPS256 = "PS256"
	algES256 = "ES256"
)

var (
	algorithms    = []string{algRS256, algPS256, algES256}
	rsaAlgorithms = algorithms[:2:2]
	ecAlgorithms  = algorithms[2:]
)

// Algorithms lists what clients may sign assertions with; none when the
// Authenticator takes no assertions.
func (a *Authenticator) Algorithms() []string {
	if a.options.Issuer == "" {
		return nil
	}
	return slices.Clone(algorithms)
}

func algorithmsOf(public crypto.PublicKey) []string {
	switch public.(type) {
	case *rsa.PublicKey:
		return rsaAlgorithms
	case *ecdsa.PublicKey:
		return ecAlgorithms
	}
	return nil
}

func listed(names []string) string { return strings.Join(names, " or ") }

// signatureFits reports whether any key there may be has signatures of that many bytes.
func signatureFits(algorithm string, length int) bool {
	if algorithm == algES256 {
		return length == signatureES256
	}
	return length >= minRSASignature && length <= maxRSASignature
}

// verify does the work of one signature check, whatever it is told: without a
// key that can have made the signature, against a decoy that takes as long.
func (d *decoys) verify(a *Assertion, public crypto.PublicKey) bool {
	digest := sha256.Sum256([]byte(a.signed))
	if a.algorithm == algES256 {
		key, real := public.(*ecdsa.PublicKey)
		if !real {
			key = d.ec
		}
		r, s := new(big.Int).SetBytes(a.signature[:signatureES256/2]), new(big.Int).SetBytes(a.signature[signatureES256/2:])
		return ecdsa.Verify(key, digest[:], r, s) && real
	}
	key, real := public.(*rsa.PublicKey)
	if real = real && key.Size() == len(a.signature); !real {
		key = d.rsa(len(a.signature))
	}
	if a.algorithm == algPS256 {
		// The salt is as long as the hash (RFC 7518 section 3.5).
		return rsa.VerifyPSS(key, crypto.SHA256, digest[:], a.signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil && real
	}
	return rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], a.signature) == nil && real
}

// decoys are keys that nobody has the other half of.
type decoys struct {
	ec      *ecdsa.PublicKey
	modulus [maxRSASignature]byte
}

func newDecoys() (*decoys, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("decoy key: %w", err)
	}
	d := &decoys{ec: &private.PublicKey}
	rand.Read(d.modulus[:])
	return d, nil
}

// rsa is a number of so many bytes in the place of a modulus: checking a
// signature against it is the same arithmetic.
func (d *decoys) rsa(length int) *rsa.PublicKey {
	modulus := slices.Clone(d.modulus[:length])
	modulus[0] |= 0x80
	modulus[length-1] |= 1
	return &rsa.PublicKey{N: new(big.Int).SetBytes(modulus), E: token.Exponent}
}
