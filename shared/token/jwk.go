package token

import (
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
)

const exponentText = "AQAB" // Exponent as Base64urlUInt

// JWK is a public verification key on the wire (RFC 7517 section 4, RFC 7518 section 6.3.1).
type JWK struct {
	KeyType   string `json:"kty"`
	Use       string `json:"use"`
	Algorithm string `json:"alg"`
	KeyID     string `json:"kid"`
	Modulus   string `json:"n"`
	Exponent  string `json:"e"`
}

// JWKS is a key set on the wire.
type JWKS struct {
	Keys []JWK `json:"keys"`
}

// PublicJWK describes a key whose exponent is Exponent; the kid is its thumbprint.
func PublicJWK(key *rsa.PublicKey) JWK {
	return JWK{
		KeyType: "RSA", Use: "sig", Algorithm: Algorithm, KeyID: Thumbprint(key),
		Modulus: modulusText(key), Exponent: exponentText,
	}
}

// Thumbprint is the RFC 7638 SHA-256 thumbprint in base64url, 43 characters,
// of a key whose exponent is Exponent.
func Thumbprint(key *rsa.PublicKey) string {
	sum := sha256.Sum256([]byte(`{"e":"` + exponentText + `","kty":"RSA","n":"` + modulusText(key) + `"}`))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func modulusText(key *rsa.PublicKey) string {
	return base64.RawURLEncoding.EncodeToString(key.N.Bytes())
}
