package apierr_test

import (
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/apierr"
)

func TestCodesOnTheWire(t *testing.T) {
	for code, want := range map[apierr.Code]struct {
		status, oauthStatus int
		oauth               string
	}{
		apierr.ValidationFailed:     {400, 400, "invalid_request"},
		apierr.Unauthenticated:      {401, 401, "invalid_token"},
		apierr.InvalidClient:        {401, 401, "invalid_client"},
		apierr.CapabilityCeiling:    {403, 403, "insufficient_scope"},
		apierr.LastAdministrator:    {409, 409, "invalid_request"},
		apierr.UnsupportedMediaType: {415, 400, "invalid_request"},
		apierr.QuotaExceeded:        {429, 429, "quota_exceeded"},
		apierr.AuditUnavailable:     {503, 503, "temporarily_unavailable"},
		"SOMETHING_ELSE":            {500, 500, "server_error"},
	} {
		require.Equal(t, want.status, code.Status(), code)
		require.Equal(t, want.oauthStatus, code.OAuthStatus(), code)
		require.Equal(t, want.oauth, code.OAuth(), code)
	}
	require.Equal(t, slog.LevelInfo, apierr.NotFound.Level())
	require.Equal(t, slog.LevelError, apierr.AuditUnavailable.Level())
	require.Equal(t, slog.LevelError, apierr.Code("SOMETHING_ELSE").Level())
}

func TestTheCauseIsForTheLogOnly(t *testing.T) {
	cause := errors.New("pq: password authentication failed")
	refusal := apierr.New(apierr.StoreUnavailable, "the store cannot be read now").
		WithReason("store_unavailable").WithRetryAfter(time.Second).WithDetail("nextSequence", 7).WithCause(cause)
	require.ErrorIs(t, refusal, cause)
	require.Contains(t, refusal.Error(), "password")
	require.NotContains(t, refusal.Detail, "password")
	require.Equal(t, 7, refusal.Details["nextSequence"])

	wrapped := fmt.Errorf("agents: %w", refusal)
	require.Same(t, refusal, apierr.From(wrapped))
	require.True(t, apierr.Is(wrapped, apierr.StoreUnavailable))
	require.False(t, apierr.Is(wrapped, apierr.Internal))

	unforeseen := apierr.From(cause)
	require.Equal(t, apierr.Internal, unforeseen.Code)
	require.NotContains(t, unforeseen.Detail, "password")
	require.ErrorIs(t, unforeseen, cause)
}

func TestInvalidListsEveryField(t *testing.T) {
	refusal := apierr.Invalid(apierr.Field{Field: "email", Rule: "must be an address"}, apierr.Field{Field: "capabilities[2]", Rule: "must be resource:action"})
	require.Equal(t, apierr.ValidationFailed, refusal.Code)
	require.Contains(t, refusal.Error(), "capabilities[2]")
	require.Len(t, refusal.Fields, 2)
}
