package token

import (
	"encoding/base64"
	"strings"
)

// compact is a JWS in compact serialization (RFC 7515 section 7.1), its
// segments canonical base64url and not yet decoded.
type compact struct{ header, payload, signature string }

// split checks length, dots and alphabet before anything is cut or decoded, so
// that hostile input costs one pass over at most limit bytes.
func split(raw string, limit int) (compact, error) {
	if len(raw) > limit {
		return compact{}, refuse(Oversize, "longer than the bound")
	}
	if strings.Count(raw, ".") != 2 {
		return compact{}, refuse(Malformed, "not exactly three segments")
	}
	var c compact
	c.header, raw, _ = strings.Cut(raw, ".")
	c.payload, c.signature, _ = strings.Cut(raw, ".")
	if c.header == "" || c.signature == "" {
		return compact{}, refuse(Malformed, "empty segment")
	}
	if !canonical(c.header) || !canonical(c.payload) || !canonical(c.signature) {
		return compact{}, refuse(Malformed, "segment is not canonical base64url")
	}
	return c, nil
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

const notBase64 = 0xff

var base64Values = func() (values [256]byte) {
	for i := range values {
		values[i] = notBase64
	}
	for i := range len(alphabet) {
		values[alphabet[i]] = byte(i)
	}
	return values
}()

// canonical reports whether s is the one unpadded base64url spelling of its
// bytes: the URL alphabet only (the standard decoder skips line breaks), a
// possible length, and zero in the bits the last character does not use.
func canonical(s string) bool {
	for i := range len(s) {
		if base64Values[s[i]] == notBase64 {
			return false
		}
	}
	switch len(s) % 4 {
	case 1:
		return false
	case 2:
		return base64Values[s[len(s)-1]]&0x0f == 0
	case 3:
		return base64Values[s[len(s)-1]]&0x03 == 0
	}
	return true
}

// decode reads canonical base64url and nothing else.
func decode(s string) ([]byte, bool) {
	if !canonical(s) {
		return nil, false
	}
	out, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return out, err == nil
}
