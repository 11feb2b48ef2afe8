package app_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/app"
	"github.com/sentryagent/agentidp/idp/internal/auditlog"
)

// A start looks for events whose time is over.
func TestOldEventsGo(t *testing.T) {
	cfg := settings(t)
	at := func(now time.Time, visit func(a *app.App)) {
		ctx, cancel := context.WithCancel(t.Context())
		a, err := app.New(ctx, cfg, app.Options{Now: func() time.Time { return now }, Policy: patient})
		require.NoError(t, err)
		ended := make(chan error, 1)
		go func() { ended <- a.Run(ctx) }()
		require.Eventually(t, func() bool {
			status, _ := get(t, a.Issuer()+"/health")
			return status == http.StatusOK
		}, time.Minute, 5*time.Millisecond)
		visit(a)
		cancel()
		http.DefaultClient.CloseIdleConnections()
		require.NoError(t, <-ended)
	}
	january := time.Date(2025, time.January, 20, 12, 0, 0, 0, time.UTC)
	at(january, func(a *app.App) {
		require.Eventually(t, func() bool {
			_, _ = get(t, a.Issuer()+"/health")
			status, _ := token(t, a, admin(t, cfg).ClientID, admin(t, cfg).ClientSecret)
			return status == http.StatusOK
		}, time.Minute, 5*time.Millisecond)
	})
	at(january.AddDate(0, 6, 0), func(a *app.App) {
		require.Eventually(t, func() bool {
			_, metrics := get(t, a.Issuer()+"/metrics")
			return strings.Contains(metrics, "agentidp_audit_pruned_events_total 1\n")
		}, time.Minute, 5*time.Millisecond)
	})
	store, err := app.OpenOffline(t.Context(), cfg)
	require.NoError(t, err)
	report, err := store.Verify(t.Context(), auditlog.VerifyOptions{})
	require.NoError(t, err)
	require.NoError(t, store.Close())
	require.Nil(t, report.Problem)
	require.EqualValues(t, 1, report.Pruned)
}
