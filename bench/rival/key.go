package rival

import (
	"context"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"strings"
)

// KeyOf reads the key that signed the token from a key set (RFC 7517): what
// HAProxy is given as a file, since it fetches none.
func KeyOf(ctx context.Context, jwksURL, token string) (*rsa.PublicKey, error) {
	var header struct{ Kid string }
	encoded, _, _ := strings.Cut(token, ".")
	raw, err := base64.RawURLEncoding.DecodeString(encoded)
	if err == nil {
		err = json.Unmarshal(raw, &header)
	}
	if err != nil {
		return nil, fmt.Errorf("header of a token: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, jwksURL, nil)
	if err != nil {
		return nil, err
	}
	var set struct {
		Keys []struct{ Kty, Kid, N, E string }
	}
	if err := read(request, &set); err != nil {
		return nil, fmt.Errorf("key set: %w", err)
	}
	for _, k := range set.Keys {
		if k.Kid != header.Kid || k.Kty != "RSA" {
			continue
		}
		n, nErr := base64.RawURLEncoding.DecodeString(k.N)
		e, eErr := base64.RawURLEncoding.DecodeString(k.E)
		if err := errors.Join(nErr, eErr); err != nil {
			return nil, fmt.Errorf("key %s: %w", k.Kid, err)
		}
		return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}, nil
	}
	return nil, fmt.Errorf("no key %q in the key set", header.Kid)
}
