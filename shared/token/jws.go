package token

import (
	"errors"
	"fmt"

	"github.com/golang-jwt/jwt/v5"
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
		return nil, "", fmt.Errorf("token: %w", err)
	}
	signature, _ := decode(parts.signature)
	signed := raw[:len(parts.header)+1+len(parts.payload)]
	if jwt.SigningMethodRS256.Verify(signed, signature, key) != nil {
		return nil, "", &Error{Reason: BadSignature}
	}
	payload, _ = decode(parts.payload)
	return payload, kid, nil
}
