package token

import (
	"crypto/rsa"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
)

// MaxJWKS is the largest key set document read, in bytes.
const MaxJWKS = 256 << 10

// Modulus sizes accepted, in bits, and the only public exponent.
const (
	MinKeyBits = 2048
	MaxKeyBits = 4096
	Exponent   = 65537
)

// ErrJWKS is wrapped by every error of ParseJWKS.
var ErrJWKS = errors.New("key set")

// KeySet is an immutable set of verification keys by kid.
type KeySet struct{ keys map[string]*Key }

// NewKeySet makes a set of keys whose kid is their thumbprint. It panics on
// nothing and checks nothing: the keys are the caller's own.
func NewKeySet(keys ...*rsa.PublicKey) *KeySet {
	set := &KeySet{keys: make(map[string]*Key, len(keys))}
	for _, key := range keys {
		set.keys[Thumbprint(key)] = NewKey(key)
	}
	return set
}

// Key implements Keys.
func (s *KeySet) Key(kid string) (*Key, error) {
	key, known := s.keys[kid]
	if !known {
		return nil, ErrUnknownKey
	}
	return key, nil
}

// KIDs lists the key ids, sorted.
func (s *KeySet) KIDs() []string { return slices.Sorted(maps.Keys(s.keys)) }

// Skipped is a key of a document that was not taken.
type Skipped struct {
	Index  int    // in "keys", from 0
	KID    string // as it stands there, if it is a string of at most MaxKeyID bytes
	Reason string // stable, lower_snake
}

// ParseJWKS reads a JWK set (RFC 7517 section 5) and keeps what can verify
// RS256. Keys that cannot, or should not, are skipped with a reason. Of several
// keys with one kid only the first counts, even if that one was skipped: a
// later key never takes over a name. The whole document is refused when it is
// too long, not strict JSON (a repeated member anywhere makes it ambiguous), or
// has no usable key at all; the caller then keeps the set it has.
func ParseJWKS(data []byte) (*KeySet, []Skipped, error) {
	if len(data) > MaxJWKS {
		return nil, nil, fmt.Errorf("%w: longer than %d bytes", ErrJWKS, MaxJWKS)
	}
	var list []byte
	err := ReadObject(data, func(name, value []byte) {
		if string(name) == "keys" {
			list = value
		}
	})
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrJWKS, err)
	}
	set := &KeySet{keys: map[string]*Key{}}
	var skipped []Skipped
	names := map[string]bool{}
	index := 0
	isArray := readArray(list, func(element []byte) {
		kid, key, reason := parseJWK(element)
		if reason == "" && names[kid] {
			reason = "duplicate_kid"
		}
		names[kid] = true
		if reason == "" {
			set.keys[kid] = NewKey(key)
		} else {
			skipped = append(skipped, Skipped{Index: index, KID: kid, Reason: reason})
		}
		index++
	})
	if !isArray {
		return nil, nil, fmt.Errorf("%w: no array of keys", ErrJWKS)
	}
	if len(set.keys) == 0 {
		return nil, skipped, fmt.Errorf("%w: no usable key", ErrJWKS)
	}
	return set, skipped, nil
}

// jwkMembers are the members that decide about a key.
type jwkMembers struct {
	kty, use, alg, kid, n, e string
	wrongType                bool
	private                  bool
	operations               []string
	hasOperations            bool
}

func (m *jwkMembers) member(name, value []byte) {
	ok := true
	switch string(name) {
	case "kty":
		m.kty, ok = stringOf(value)
	case "use":
		m.use, ok = stringOf(value)
		ok = ok && m.use != ""
	case "alg":
		m.alg, ok = stringOf(value)
		ok = ok && m.alg != ""
	case "kid":
		m.kid, ok = stringOf(value)
	case "n":
		m.n, ok = stringOf(value)
	case "e":
		m.e, ok = stringOf(value)
	case "key_ops":
		m.hasOperations = true
		m.operations, ok = stringsOf(value)
	case "d", "p", "q", "dp", "dq", "qi", "oth", "k":
		m.private = true
	}
	m.wrongType = m.wrongType || !ok
}

// parseJWK returns a key, or the reason why there is none.
func parseJWK(element []byte) (kid string, key *rsa.PublicKey, reason string) {
	var m jwkMembers
	if ReadObject(element, m.member) != nil {
		return "", nil, "not_an_object"
	}
	if len(m.kid) > MaxKeyID {
		return "", nil, "kid"
	}
	switch {
	case m.private:
		return m.kid, nil, "private_key"
	case m.kty != "RSA":
		return m.kid, nil, "key_type"
	case m.wrongType:
		return m.kid, nil, "member_type"
	case m.use != "" && m.use != "sig":
		return m.kid, nil, "use"
	case m.hasOperations && !slices.Contains(m.operations, "verify"):
		return m.kid, nil, "key_ops"
	case m.alg != "" && m.alg != Algorithm:
		return m.kid, nil, "algorithm"
	case m.kid == "":
		return m.kid, nil, "kid"
	}
	key, reason = rsaKey(m.n, m.e)
	return m.kid, key, reason
}

// rsaKey decodes Base64urlUInt members (RFC 7518 section 6.3.1): shortest form only.
func rsaKey(n, e string) (*rsa.PublicKey, string) {
	modulus, ok := decode(n)
	if !ok || len(modulus) == 0 || modulus[0] == 0 {
		return nil, "encoding"
	}
	if e != exponentText {
		return nil, "exponent"
	}
	key := &rsa.PublicKey{N: new(big.Int).SetBytes(modulus), E: Exponent}
	return key, WeakKey(key)
}

// WeakKey names what makes an RSA key unfit, "" when nothing does: key_size
// (MinKeyBits to MaxKeyBits), exponent, modulus (even), roca (CVE-2017-15361).
func WeakKey(key *rsa.PublicKey) string {
	switch bits := key.N.BitLen(); {
	case bits < MinKeyBits || bits > MaxKeyBits:
		return "key_size"
	case key.E != Exponent:
		return "exponent"
	case key.N.Bit(0) == 0:
		return "modulus"
	case roca(key.N):
		return "roca"
	}
	return ""
}
