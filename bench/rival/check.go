package rival

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// CheckVerifies makes sure that a proxy verifies what it is measured with: the
// good token is let through to the path, and none that was made from it is. A
// rival that is fast because it does not look would make the comparison a lie.
func (r *Rival) CheckVerifies(ctx context.Context, path, good string) error {
	if err := r.expect(ctx, path, "a good token", good, http.StatusOK); err != nil {
		return err
	}
	forged, err := forgeries(good)
	if err != nil {
		return fmt.Errorf("%s: %w", r.Kind, err)
	}
	for name, token := range forged {
		if err := r.expect(ctx, path, name, token, http.StatusUnauthorized, http.StatusForbidden); err != nil {
			return err
		}
	}
	return nil
}

func (r *Rival) expect(ctx context.Context, path, name, token string, statuses ...int) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	status, err := ask(ctx, r.URL()+path, token)
	if err != nil {
		return fmt.Errorf("%s, %s: %w", r.Kind, name, err)
	}
	for _, wanted := range statuses {
		if status == wanted {
			return nil
		}
	}
	return fmt.Errorf("%s answers %d to %s, not %d%s", r.Kind, status, name, statuses[0], r.output())
}

// forgeries are tokens that a verifier must refuse, by what is wrong with them.
func forgeries(good string) (map[string]string, error) {
	parts := strings.Split(good, ".")
	if len(parts) != 3 {
		return nil, errors.New("the good token is no JWT")
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return nil, fmt.Errorf("the good token's signature: %w", err)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, fmt.Errorf("the good token's claims: %w", err)
	}
	signature[len(signature)/2] ^= 1
	encode := base64.RawURLEncoding.EncodeToString
	padded := encode(append([]byte(" "), payload...)) // says the same, is not what was signed
	return map[string]string{
		"no token":                         "",
		"a token with another signature":   parts[0] + "." + parts[1] + "." + encode(signature),
		"a token with other claims":        parts[0] + "." + padded + "." + parts[2],
		"a token without a signature":      parts[0] + "." + parts[1] + ".",
		"a token that says alg none":       encode([]byte(`{"alg":"none","typ":"at+jwt"}`)) + "." + parts[1] + ".",
		"a token that says it is an HMAC":  encode([]byte(`{"alg":"HS256","typ":"at+jwt"}`)) + "." + parts[1] + "." + parts[2],
		"something that is not even a JWT": "x",
	}, nil
}

// CheckIssues makes sure that an issuer makes what ours does: one token, RS256
// by an RSA-2048 key of its key set, for the resource.
func (r *Rival) CheckIssues(ctx context.Context, resource string) error {
	token, err := r.token(ctx, resource)
	if err != nil {
		return fmt.Errorf("%s: %w", r.Kind, err)
	}
	if err := r.checkToken(ctx, token, resource); err != nil {
		return fmt.Errorf("%s: its token: %w", r.Kind, err)
	}
	return nil
}

func (r *Rival) token(ctx context.Context, resource string) (string, error) {
	asked := r.TokenRequest(resource)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.URL()+asked.Path, strings.NewReader(asked.Form))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Authorization", asked.Authorization)
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if err := read(request, &answer); err != nil {
		return "", err
	}
	return answer.AccessToken, nil
}

func read(request *http.Request, into any) error {
	ctx, cancel := context.WithTimeout(request.Context(), readyWithin)
	defer cancel()
	request = request.WithContext(ctx)
	request.Close = true
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %d: %.200s", request.URL.Path, response.StatusCode, body)
	}
	return json.Unmarshal(body, into)
}

func (r *Rival) checkToken(ctx context.Context, token, resource string) error {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return errors.New("no JWT")
	}
	var header struct{ Alg string }
	var claims struct {
		Aud any   `json:"aud"`
		Exp int64 `json:"exp"`
	}
	for i, into := range []any{&header, &claims} {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err == nil {
			err = json.Unmarshal(raw, into)
		}
		if err != nil {
			return err
		}
	}
	if header.Alg != "RS256" || claims.Aud != resource || claims.Exp == 0 {
		return fmt.Errorf("alg %q, aud %v, exp %d", header.Alg, claims.Aud, claims.Exp)
	}
	key, err := KeyOf(ctx, r.URL()+"/jwks", token)
	if err != nil {
		return err
	}
	if key.N.BitLen() != 2048 {
		return fmt.Errorf("a key of %d bits", key.N.BitLen())
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return err
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	return rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], signature)
}
