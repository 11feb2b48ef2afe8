package httpapi_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDecisionsTakeTurns(t *testing.T) {
	w := newWorld(t, setting{})
	token := w.token("admin")
	leave, err := w.api.OccupyDecisions(t.Context())
	require.NoError(t, err)
	a := w.call(token, http.MethodGet, "/api/v1/sidecars", "")
	require.Equal(t, http.StatusServiceUnavailable, a.status)
	require.Equal(t, "1", a.header.Get("Retry-After"))
	require.Contains(t, w.logs.String(), "decision_busy")
	leave()
	for range 2 {
		require.Equal(t, http.StatusOK, w.call(token, http.MethodGet, "/api/v1/sidecars", "").status, "the place is given back")
	}
}
