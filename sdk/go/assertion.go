package agentidp

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" // RFC 7523 section 2.2
	assertionLife = time.Minute
)

var errKey = errors.New("it must be an RSA key of 2048 to 4096 bits, or one on P-256")

// ParsePrivateKey reads a PEM file (PKCS#8) with a key that can sign client assertions.
func ParsePrivateKey(content []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(content)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, errors.New("agentidp: not a PEM file with a PRIVATE KEY (PKCS#8)")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("agentidp: private key: %w", err)
	}
	key, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("agentidp: private key: %w", errKey)
	}
	if _, err := algorithmOf(key); err != nil {
		return nil, fmt.Errorf("agentidp: private key: %w", err)
	}
	return key, nil
}

func algorithmOf(key crypto.Signer) (jwt.SigningMethod, error) {
	switch key := key.(type) {
	case *rsa.PrivateKey:
		if bits := key.N.BitLen(); bits >= 2048 && bits <= 4096 {
			return jwt.SigningMethodRS256, nil
		}
	case *ecdsa.PrivateKey:
		if key.Curve == elliptic.P256() {
			return jwt.SigningMethodES256, nil
		}
	}
	return nil, errKey
}

// thumbprint is RFC 7638's, of the public half.
func thumbprint(key crypto.Signer) (string, error) {
	var members string
	switch public := key.Public().(type) {
	case *rsa.PublicKey:
		members = fmt.Sprintf(`{"e":%q,"kty":"RSA","n":%q}`, encode(big.NewInt(int64(public.E)).Bytes()), encode(public.N.Bytes()))
	case *ecdsa.PublicKey:
		point, err := public.Bytes() // 4, x, y (SEC 1 section 2.3.3)
		if err != nil {
			return "", fmt.Errorf("agentidp: private key: %w", err)
		}
		half := len(point) / 2
		members = fmt.Sprintf(`{"crv":"P-256","kty":"EC","x":%q,"y":%q}`, encode(point[1:1+half]), encode(point[1+half:]))
	}
	sum := sha256.Sum256([]byte(members))
	return encode(sum[:]), nil
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// assertion proves the client (RFC 7523 section 3), for one request.
func (c Config) assertion(now time.Time) (string, error) {
	algorithm, err := algorithmOf(c.PrivateKey)
	if err != nil {
		return "", fmt.Errorf("agentidp: private key: %w", err)
	}
	kid := c.KeyID
	if kid == "" {
		if kid, err = thumbprint(c.PrivateKey); err != nil {
			return "", err
		}
	}
	token := jwt.NewWithClaims(algorithm, jwt.MapClaims{
		"iss": c.ClientID, "sub": c.ClientID, "aud": c.issuer(), "jti": rand.Text(),
		"iat": now.Unix(), "exp": now.Add(assertionLife).Unix(),
	})
	token.Header["kid"] = kid
	signed, err := token.SignedString(c.PrivateKey)
	if err != nil {
		return "", fmt.Errorf("agentidp: sign the client assertion: %w", err)
	}
	return signed, nil
}
