package token

// parseHeader judges a protected header before any key is looked up, and
// returns the kid. The algorithm is never chosen by the token, a key never
// comes from it, and nothing in it is fetched (RFC 8725 sections 3.1, 3.10).
// typ is the media type without "application/"; "" asks for none (vectors only).
func parseHeader(segment, typ string) (kid string, err error) {
	if len(segment) > maxHeader*4/3 {
		return "", refuse(Oversize, "header longer than the bound")
	}
	var room [maxHeader]byte
	raw, ok := appendDecoded(room[:0], segment)
	if !ok {
		return "", refuse(Malformed, "header is not base64url")
	}
	var h header
	if err := ReadObject(raw, h.member); err != nil {
		return "", &Error{Reason: Malformed, cause: err}
	}
	switch {
	case h.alg != Algorithm:
		return "", refuse(BadAlgorithm, "alg is not RS256")
	case h.forbidden:
		return "", refuse(CriticalHeader, "header has crit, b64, zip or a key")
	case !isType(h.typ, typ):
		return "", refuse(TypeMismatch, "typ names another kind of token")
	case h.kid == "" || len(h.kid) > MaxKeyID:
		return "", refuse(Malformed, "kid must be a string of 1 to 128 bytes")
	}
	return h.kid, nil
}

// header keeps what is judged; members of the wrong type stay empty.
type header struct {
	alg, typ, kid string
	forbidden     bool
}

func (h *header) member(name, value []byte) {
	switch string(name) {
	case "alg":
		h.alg, _ = stringOf(value)
	case "typ":
		h.typ, _ = stringOf(value)
	case "kid":
		h.kid, _ = stringOf(value)
	case "crit", "b64", "zip", "jwk", "jku", "x5u", "x5c":
		h.forbidden = true
	}
}

// isType compares media types: case-insensitive in ASCII, "application/" may
// be left out (RFC 7515 section 4.1.9).
func isType(got, want string) bool {
	const prefix = "application/"
	if len(got) > len(prefix) && equalFold(got[:len(prefix)], prefix) {
		got = got[len(prefix):]
	}
	return equalFold(got, want)
}

// equalFold folds ASCII only: strings.EqualFold takes U+017F for an s.
func equalFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
