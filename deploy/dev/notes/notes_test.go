package notes_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/deploy/dev/notes"
)

func TestNotesSurviveARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notes.jsonl")
	call := func(handler http.Handler, method, target, body string) (int, string) {
		r := httptest.NewRequest(method, target, strings.NewReader(body))
		r.Header.Set("X-Agent-Id", "agent-1")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		answer, err := io.ReadAll(w.Body)
		require.NoError(t, err)
		return w.Code, string(answer)
	}

	store, err := notes.Open(path)
	require.NoError(t, err)
	status, body := call(store.Handler(), "POST", "/notes", `{"text":"first"}`)
	require.Equal(t, http.StatusCreated, status)
	require.Contains(t, body, `"author":"agent-1"`)
	for _, bad := range []string{"", "{}", "nonsense", `{"text":"` + strings.Repeat("x", 65<<10) + `"}`} {
		status, _ = call(store.Handler(), "POST", "/notes", bad)
		require.Equal(t, http.StatusBadRequest, status)
	}
	require.NoError(t, store.Close())
	status, _ = call(store.Handler(), "POST", "/notes", `{"text":"after close"}`)
	require.Equal(t, http.StatusInternalServerError, status)

	store, err = notes.Open(path)
	require.NoError(t, err)
	defer store.Close()
	status, body = call(store.Handler(), "GET", "/notes", "")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, body, "first")
	require.NotContains(t, body, "after close")
	status, body = call(store.Handler(), "GET", "/notes/1", "")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, body, "first")
	for _, unknown := range []string{"/notes/2", "/notes/0", "/notes/x"} {
		status, _ = call(store.Handler(), "GET", unknown, "")
		require.Equal(t, http.StatusNotFound, status)
	}
	status, _ = call(store.Handler(), "GET", "/healthz", "")
	require.Equal(t, http.StatusNoContent, status)
}
