package token

import (
	"crypto/sha256"
	"errors"
	"unsafe"
)

// VerifyJWS checks a signed document that is not an access token, such as a
// revocation snapshot, by the same strict rules: RS256, compact form of at most
// limit bytes, exactly this typ. It returns the payload as it was signed and the
// kid. What the payload means, and how old it may be, is the caller's to judge.
// Errors are those of Verifier.Verify.
func VerifyJWS(raw, typ string, keys Keys, limit int) (payload []byte, kid string, err error) {
	if typ == "" {
		return nil, "", errors.New("token: a signed document must be told by its typ")
	}
	return verifyJWS(raw, typ, keys, limit)
}

func verifyJWS(raw, typ string, keys Keys, limit int) (payload []byte, kid string, err error) {
	parts, err := split(raw, limit)
	if err != nil {
		return nil, "", err
	}
	kid, err = parseHeader(parts.header, typ)
	if err != nil {
		return nil, "", err
	}
	key, err := find(keys, kid)
	if err != nil {
		return nil, "", err
	}
	if !parts.signedBy(key) {
		return nil, "", &Error{Reason: BadSignature}
	}
	payload, _ = decode(parts.payload)
	return payload, kid, nil
}

// signedBy reports whether the signature is the key's.
func (c *compact) signedBy(key *Key) bool {
	var room [MaxKeyBits/8 + 2]byte
	if len(c.signature) > len(room)*4/3 {
		return false
	}
	signature, ok := appendDecoded(room[:0], c.signature)
	return ok && key.Verify(sha256.Sum256(bytesOf(c.signed)), signature)
}

// bytesOf is the text of s, only to be read, for as long as s: it saves a copy.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) } //nolint:gosec // nobody writes to it

// textOf is b as a string for as long as nobody writes to b: it saves a copy.
func textOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) } //nolint:gosec // see there
