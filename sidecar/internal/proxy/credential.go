package proxy

import "bytes"

// bearer takes the token out of an Authorization value (RFC 6750 section 2.1).
// The guard has seen to it that there is one field at most.
func bearer(value []byte) ([]byte, *refusal) {
	scheme, raw, _ := bytes.Cut(value, []byte{' '})
	if len(scheme) == 0 {
		return nil, tokenMissing
	}
	if !bytes.EqualFold(scheme, []byte("Bearer")) {
		return nil, tokenScheme
	}
	raw = bytes.TrimLeft(raw, " ")
	if len(raw) == 0 {
		return nil, tokenMissing
	}
	if bytes.IndexByte(raw, ' ') >= 0 || bytes.IndexByte(raw, ',') >= 0 || bytes.IndexByte(raw, '\t') >= 0 {
		return nil, tokenAmbiguous // two credentials, or parameters
	}
	return raw, nil
}
