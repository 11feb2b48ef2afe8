package vault

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/hashicorp/vault/api"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

// ErrUnavailable says that Vault cannot serve now: sealed, too slow, out of
// reach, or it takes our token no more. The caller answers 503. It is a
// store.ErrUnavailable.
var ErrUnavailable = fmt.Errorf("vault: %w", store.ErrUnavailable)

// ErrConflict says that somebody else wrote the same entry first. It is an idp.ErrConflict.
var ErrConflict = fmt.Errorf("vault: %w", idp.ErrConflict)

// ErrLost says that Vault has no digest where a row says that there is one: it
// was destroyed with its credential, or Vault has lost it. Which of the two only
// the store can tell.
var ErrLost = errors.New("vault: no digest at the reference")

// What an answer can mean besides. Neither leaves the package.
var (
	errForbidden = errors.New("permission denied")
	errAbsent    = errors.New("no such entry")
)

// Heals reports whether the error may go away by itself: Vault is out of reach,
// too slow or sealed. That it refuses us, or has a certificate of somebody that we
// do not trust, is not among it.
func Heals(err error) bool {
	var stranger *tls.CertificateVerificationError
	return errors.Is(err, ErrUnavailable) && !errors.Is(err, errForbidden) && !errors.As(err, &stranger)
}

// meaning turns what the API client returned into one of the errors above, or
// a fault. The client's own text is dropped: it quotes whatever the server sent,
// and a server may send back what it was sent.
func meaning(ctx context.Context, err error) error {
	var answer *api.ResponseError
	if !errors.As(err, &answer) {
		return unanswered(ctx, err)
	}
	status := fmt.Sprintf("status %d", answer.StatusCode)
	switch {
	case answer.StatusCode == http.StatusForbidden:
		return errForbidden
	case answer.StatusCode == http.StatusNotFound && len(answer.Errors) == 0:
		return errAbsent // with errors it says that nothing is mounted there
	case says(answer, "check-and-set parameter did not match"):
		return ErrConflict
	case says(answer, "Vault is sealed"):
		return fmt.Errorf("%w: %s: sealed", ErrUnavailable, status)
	case answer.StatusCode >= http.StatusInternalServerError,
		answer.StatusCode == http.StatusTooManyRequests,
		answer.StatusCode == http.StatusPreconditionFailed, // a standby that lags behind
		says(answer, "Upgrading from non-versioned"):       // a KV mount in its first moments
		return fmt.Errorf("%w: %s", ErrUnavailable, status)
	}
	return errors.New(status)
}

func says(answer *api.ResponseError, text string) bool {
	for _, line := range answer.Errors {
		if strings.Contains(line, text) {
			return true
		}
	}
	return false
}

// unanswered is the meaning of an error without an answer: the network's, or ctx's.
func unanswered(ctx context.Context, err error) error {
	switch {
	case errors.Is(context.Cause(ctx), context.Canceled):
		return context.Canceled
	case ctx.Err() != nil:
		return fmt.Errorf("%w: no answer in time", ErrUnavailable)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: connection cut", ErrUnavailable)
	default:
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
}
