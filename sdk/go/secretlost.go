package agentidp

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

// SecretLostError is a rotation that was made, but whose answer did not arrive:
// nobody knows the new secret. The one in use stays good for the overlap, so
// nothing has failed yet. The SDK does not rotate again by itself, because that
// ends the secret in use at once, wherever else it is used. Do so before
// OldSecretUntil, when all who use the secret can be given the new one.
type SecretLostError struct {
	CredentialID   string
	OldSecretUntil time.Time // the secret in use is good until then at least; with no overlap it is dead already
	Refusal        *Error    // of the repeated request
}

// Error says what to do.
func (e *SecretLostError) Error() string {
	return fmt.Sprintf("agentidp: credential %s was rotated, but the answer was lost, and the new secret with it; the old secret is good until %s: "+
		"rotate again before, once all who use it can be given the new one, for that ends it at once: %v",
		e.CredentialID, e.OldSecretUntil.UTC().Format(time.RFC3339), e.Refusal)
}

// Unwrap gives the refusal.
func (e *SecretLostError) Unwrap() error { return e.Refusal }

// lostSecret tells a rotation that was made before from others that are refused:
// only the refusal of a repeated request names the credential it made a secret for.
func lostSecret(err error, credentialID string, oldSecretUntil time.Time) error {
	var refused *Error
	if errors.As(err, &refused) && refused.Status == http.StatusConflict && refused.Code == CodeInvalidState && refused.Details.CredentialID != "" {
		return &SecretLostError{CredentialID: credentialID, OldSecretUntil: oldSecretUntil, Refusal: refused}
	}
	return err
}
