package token

import "strings"

// compact is a JWS in compact serialization (RFC 7515 section 7.1), its
// segments canonical base64url and not yet decoded.
type compact struct {
	header, payload, signature string
	signed                     string // header, dot, payload (RFC 7515 section 5.2)
}

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
	c.signed = raw[:strings.LastIndexByte(raw, '.')]
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
	var all byte
	for i := range len(s) {
		all |= base64Values[s[i]]
	}
	if all == notBase64 { // no other value has its high bits
		return false
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
	return appendDecoded(make([]byte, 0, len(s)/4*3+2), s)
}

// appendDecoded adds the bytes of canonical base64url to out.
func appendDecoded(out []byte, s string) ([]byte, bool) {
	if !canonical(s) {
		return nil, false
	}
	for ; len(s) >= 4; s = s[4:] {
		n := uint32(base64Values[s[0]])<<18 | uint32(base64Values[s[1]])<<12 | uint32(base64Values[s[2]])<<6 | uint32(base64Values[s[3]])
		out = append(out, byte(n>>16), byte(n>>8), byte(n))
	}
	if len(s) == 0 {
		return out, true
	}
	n := uint32(base64Values[s[0]])<<18 | uint32(base64Values[s[1]])<<12
	out = append(out, byte(n>>16))
	if len(s) == 3 {
		out = append(out, byte((n|uint32(base64Values[s[2]])<<6)>>8))
	}
	return out, true
}
