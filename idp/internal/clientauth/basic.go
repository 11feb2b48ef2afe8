package clientauth

import (
	"encoding/base64"
	"errors"
	"net/url"
	"strings"
	"unicode/utf8"
)

// Errors of ParseBasic.
var (
	ErrNotBasic = errors.New("not the Basic scheme")
	ErrBasic    = errors.New("malformed Basic credentials")
)

// maxBasic bounds the encoded part; ours take under 200 characters.
const maxBasic = 2 << 10

const base64Digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="

// ParseBasic reads the value of an Authorization field: the scheme in any case,
// spaces, then base64 of the two halves, each form-encoded before (RFC 7617
// section 2, RFC 6749 section 2.3.1). ErrNotBasic says that another scheme is
// named, ErrBasic that the value is malformed; neither shows any of it.
func ParseBasic(header string) (id, secret string, err error) {
	scheme, encoded, _ := strings.Cut(header, " ")
	if len(scheme) != len("Basic") || !strings.EqualFold(scheme, "Basic") {
		return "", "", ErrNotBasic
	}
	encoded = strings.TrimLeft(encoded, " ")
	if len(encoded) > maxBasic || strings.Trim(encoded, base64Digits) != "" {
		return "", "", ErrBasic
	}
	pair, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return "", "", ErrBasic
	}
	user, password, found := strings.Cut(string(pair), ":")
	if !found {
		return "", "", ErrBasic
	}
	id, idErr := url.QueryUnescape(user)
	secret, secretErr := url.QueryUnescape(password)
	if idErr != nil || secretErr != nil || id == "" || !utf8.ValidString(id) || !utf8.ValidString(secret) {
		return "", "", ErrBasic
	}
	return id, secret, nil
}
