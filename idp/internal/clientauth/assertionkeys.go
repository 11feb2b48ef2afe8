package clientauth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/shared/token"
)

// Bounds of an agent's key set.
const (
	MaxKeys     = 20
	MaxKeyBytes = 16 << 10 // of the set as an agent's jwks
)

// key is a public key of an agent.
type key struct {
	id        string // kid; the RFC 7638 thumbprint when the document has none
	algorithm string // the one it is for; "": every one of its type
	public    crypto.PublicKey
}

func (k *key) fits(algorithm string) bool {
	return slices.Contains(algorithmsOf(k.public), algorithm) && (k.algorithm == "" || k.algorithm == algorithm)
}

// KeySet is the keys that one agent signs assertions with. It never changes.
type KeySet struct{ keys []key }

// Len is the number of usable keys.
func (s *KeySet) Len() int { return len(s.keys) }

// find returns the key with exactly this kid for the algorithm. Without a kid
// it is the only key for the algorithm: trying several would be work on the
// word of a stranger.
func (s *KeySet) find(keyID, algorithm string) (crypto.PublicKey, bool) {
	var found crypto.PublicKey
	for i := range s.keys {
		k := &s.keys[i]
		if !k.fits(algorithm) || keyID != "" && k.id != keyID {
			continue
		}
		if found != nil {
			return nil, false
		}
		found = k.public
	}
	return found, found != nil
}

// Size is about how many bytes the set takes in memory.
func (s *KeySet) Size() int {
	size := keyBytes
	for i := range s.keys {
		size += keyBytes + len(s.keys[i].id)
		if public, isRSA := s.keys[i].public.(*rsa.PublicKey); isRSA {
			size += public.Size()
		}
	}
	return size
}

const keyBytes = 256 // of a key beside its kid and modulus, and of a set beside its keys; about

// ReadKeySet reads a JWK Set (RFC 7517 section 5) and leaves out what is not
// fit to verify assertions: other types, weak keys, private keys, keys for
// something else. Of several keys with one kid the first counts. A set of none
// is one, too: of an agent that has no keys any more. It fails when the document
// is not strict JSON, or no JWK Set.
func ReadKeySet(document []byte) (*KeySet, error) {
	elements, err := keysOf(document)
	if err != nil {
		return nil, err
	}
	set, names := &KeySet{}, map[string]bool{}
	for _, element := range elements {
		if len(set.keys) == MaxKeys {
			break
		}
		k, _, reason := readKey(element)
		if reason == "" && !names[k.id] {
			set.keys = append(set.keys, k)
		}
		names[k.id] = true
	}
	return set, nil
}

func keysOf(document []byte) ([]json.RawMessage, error) {
	set, ok := members(document)
	if !ok {
		return nil, fmt.Errorf("key set: not one strict JSON object")
	}
	var elements []json.RawMessage
	if json.Unmarshal(set["keys"], &elements) != nil || elements == nil {
		return nil, fmt.Errorf("key set: no array of keys")
	}
	return elements, nil
}

// CanonicalKeys reads the jwks member of an agent and returns the set in its
// one form: known members alone, in one order, every key with a kid. Nothing
// and the literal null give nil. Every key must be fit.
func CanonicalKeys(raw json.RawMessage) (json.RawMessage, []idp.Rule) {
	broken := func(field, text string) (json.RawMessage, []idp.Rule) {
		return nil, []idp.Rule{{Field: field, Text: text}}
	}
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	if len(raw) > MaxKeyBytes {
		return broken("jwks", fmt.Sprintf("must be at most %d bytes", MaxKeyBytes))
	}
	elements, err := keysOf(raw)
	if err != nil || len(elements) == 0 || len(elements) > MaxKeys {
		return broken("jwks", fmt.Sprintf("must be a JWK Set of 1 to %d public keys, or null", MaxKeys))
	}
	var rules []idp.Rule
	canonical := jwks{Keys: make([]jwk, len(elements))}
	names := map[string]bool{}
	for i, element := range elements {
		k, form, reason := readKey(element)
		if reason == "" && names[k.id] {
			reason = "must have a kid of its own"
		}
		if reason != "" {
			rules = append(rules, idp.Rule{Field: fmt.Sprintf("jwks.keys[%d]", i), Text: reason})
		}
		canonical.Keys[i], names[k.id] = form, true
	}
	if rules != nil {
		return nil, rules
	}
	encoded, err := json.Marshal(canonical)
	if err != nil {
		return broken("jwks", "cannot be written")
	}
	return encoded, nil
}

type jwks struct {
	Keys []jwk `json:"keys"`
}

// jwk is a public key on the wire (RFC 7517 section 4, RFC 7518 section 6).
type jwk struct {
	KeyType   string `json:"kty"`
	Use       string `json:"use"`
	Algorithm string `json:"alg,omitempty"`
	KeyID     string `json:"kid"`
	Curve     string `json:"crv,omitempty"`
	X         string `json:"x,omitempty"`
	Y         string `json:"y,omitempty"`
	Modulus   string `json:"n,omitempty"`
	Exponent  string `json:"e,omitempty"`
}

// Members that only private and symmetric keys have (RFC 7518 sections 6.2.2, 6.3.2, 6.4.1).
var privateMembers = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"}

// readKey returns a key and its canonical form, or what is wrong with it.
func readKey(element json.RawMessage) (k key, form jwk, wrong string) {
	o, ok := members(element)
	if !ok {
		return key{}, jwk{}, "must be a JWK"
	}
	form.KeyID, ok = o.text("kid")
	if o.has("kid") && (!ok || form.KeyID == "" || len(form.KeyID) > maxAssertionKID) {
		return key{}, jwk{}, fmt.Sprintf("must have a kid of 1 to %d bytes, or none", maxAssertionKID)
	}
	k.id = form.KeyID
	if slices.ContainsFunc(privateMembers, o.has) {
		return k, jwk{}, "must not have private members: take the key out of use, it was sent to somebody"
	}
	form.Use, ok = o.text("use")
	if o.has("use") && (!ok || form.Use != "sig") {
		return k, jwk{}, "must have use sig, or none"
	}
	form.Use = "sig"
	if operations, ok := o.texts("key_ops"); o.has("key_ops") && (!ok || !slices.Contains(operations, "verify")) {
		return k, jwk{}, "must have key_ops with verify, or none"
	}
	form.KeyType, _ = o.text("kty")
	switch form.KeyType {
	case "RSA":
		wrong = k.readRSA(o, &form)
	case "EC":
		wrong = k.readEC(o, &form)
	default:
		wrong = "must have kty RSA or EC"
	}
	if wrong != "" {
		return k, jwk{}, wrong
	}
	form.Algorithm, ok = o.text("alg")
	if o.has("alg") && (!ok || !slices.Contains(algorithmsOf(k.public), form.Algorithm)) {
		return k, jwk{}, fmt.Sprintf("must have alg %s, or none", listed(algorithmsOf(k.public)))
	}
	k.algorithm = form.Algorithm
	if k.id == "" {
		k.id = thumbprint(&form)
		form.KeyID = k.id
	}
	return k, form, ""
}

const weakRSA = "must be an RSA key of 2048 to 4096 bits with exponent 65537 and no known flaw"

// readRSA takes a key whose numbers are in their shortest form (RFC 7518 section 6.3.1).
func (k *key) readRSA(o object, form *jwk) (wrong string) {
	form.Modulus, _ = o.text("n")
	form.Exponent, _ = o.text("e")
	modulus, ok := decodeSegment(form.Modulus)
	exponent, okExponent := decodeSegment(form.Exponent)
	if !ok || !okExponent || modulus[0] == 0 || exponent[0] == 0 || len(exponent) > 3 {
		return weakRSA
	}
	public := &rsa.PublicKey{N: new(big.Int).SetBytes(modulus), E: int(new(big.Int).SetBytes(exponent).Int64())}
	if token.WeakKey(public) != "" {
		return weakRSA
	}
	k.public = public
	return ""
}

const coordinate = 32 // bytes, of P-256

func (k *key) readEC(o object, form *jwk) (wrong string) {
	form.Curve, _ = o.text("crv")
	form.X, _ = o.text("x")
	form.Y, _ = o.text("y")
	x, okX := decodeSegment(form.X)
	y, okY := decodeSegment(form.Y)
	if form.Curve != "P-256" || !okX || !okY || len(x) != coordinate || len(y) != coordinate {
		return "must be a point on P-256"
	}
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y))
	if err != nil {
		return "must be a point on P-256"
	}
	k.public = public
	return ""
}

// thumbprint is RFC 7638 with SHA-256. Nothing in the members needs escaping.
func thumbprint(k *jwk) string {
	text := `{"e":"` + k.Exponent + `","kty":"RSA","n":"` + k.Modulus + `"}`
	if k.KeyType == "EC" {
		text = `{"crv":"` + k.Curve + `","kty":"EC","x":"` + k.X + `","y":"` + k.Y + `"}`
	}
	sum := sha256.Sum256([]byte(text))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
