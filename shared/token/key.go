package token

import (
	"crypto"
	"crypto/fips140"
	"crypto/rsa"
	"crypto/sha256"

	"filippo.io/bigmod"
)

// Key is an RSA public key made ready to verify RS256 signatures. It never
// changes, and is safe for concurrent use.
type Key struct {
	public  *rsa.PublicKey
	modulus *bigmod.Modulus // nil: crypto/rsa verifies
	wide    *ifma           // nil: the processor lacks it, or the modulus has another size
}

// NewKey keeps, of a key that is fit (see WeakKey), what crypto/rsa would
// compute from the modulus again for each signature, half of the work (ADR 18).
// crypto/rsa judges the signatures of every other key, and of all keys where
// FIPS 140-3 mode asks for the validated module.
func NewKey(public *rsa.PublicKey) *Key {
	k := &Key{public: public}
	if public.N == nil || public.N.Sign() <= 0 || WeakKey(public) != "" || fips140.Enabled() {
		return k
	}
	if modulus, err := bigmod.NewModulus(public.N.Bytes()); err == nil {
		k.modulus = modulus
		if hasIFMA && public.N.BitLen() == ifmaBits {
			k.wide = newIFMA(public.N)
		}
	}
	return k
}

// Public is the key itself; the caller must not change it.
func (k *Key) Public() *rsa.PublicKey { return k.public }

// digestInfo is the DER of a DigestInfo of SHA-256 before the digest (RFC 8017 section 9.2, note 1).
var digestInfo = []byte{0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20}

// Verify reports whether signature is the one RSASSA-PKCS1-v1_5 signature of
// the SHA-256 digest (RFC 8017 section 8.2.2). It accepts what
// rsa.VerifyPKCS1v15 accepts and nothing else. All it reads is public: how
// long it takes tells nothing.
func (k *Key) Verify(digest [sha256.Size]byte, signature []byte) bool {
	if k.modulus == nil {
		return rsa.VerifyPKCS1v15(k.public, crypto.SHA256, digest[:], signature) == nil
	}
	if len(signature) != k.modulus.Size() {
		return false
	}
	// What is never parsed cannot be parsed too kindly: the whole encoding that
	// must come out is built, and compared.
	var buffer [MaxKeyBits / 8]byte
	encoded := encode(buffer[:len(signature)], &digest)
	if k.wide != nil {
		return k.wide.opens(signature, encoded)
	}
	s, err := bigmod.NewNat().SetBytes(signature, k.modulus) // refuses s >= n
	if err != nil {
		return false
	}
	want, err := bigmod.NewNat().SetBytes(encoded, k.modulus)
	return err == nil && bigmod.NewNat().ExpShortVarTime(s, Exponent, k.modulus).Equal(want) == 1
}

// encode fills em with EMSA-PKCS1-v1_5 (RFC 8017 section 9.2): 0x00 0x01, as
// many 0xff as fit, at least eight, 0x00, DigestInfo, digest.
func encode(em []byte, digest *[sha256.Size]byte) []byte {
	info := len(em) - len(digest) - len(digestInfo)
	for i := range info {
		em[i] = 0xff
	}
	em[0], em[1], em[info-1] = 0x00, 0x01, 0x00
	copy(em[info:], digestInfo)
	copy(em[info+len(digestInfo):], digest[:])
	return em
}
