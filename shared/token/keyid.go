package token

// KeyID reads the kid of an access token that is well formed, without verifying
// it: to ask for a key that is not known yet, and for nothing else.
func KeyID(raw string) (string, error) {
	parts, err := split(raw, MaxLength)
	if err != nil {
		return "", err
	}
	return parseHeader(parts.header, Type)
}
