package httpapi_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
)

func (w *world) present(name, id, version string) {
	w.t.Helper()
	a := w.call(w.vars[name+".token"], http.MethodGet, feedPath, "", "X-Sidecar-Id", id, "X-Sidecar-Version", version)
	require.Equal(w.t, http.StatusOK, a.status, string(a.body))
}

// sidecars is how many rows there are, and the first of them.
func (w *world) sidecars() (total float64, version string) {
	w.t.Helper()
	a := w.call(w.vars["admin.token"], http.MethodGet, "/api/v1/sidecars", "")
	require.Equal(w.t, http.StatusOK, a.status)
	count, _ := lookup(a.json(), "total")
	return count.(float64), a.text("data.0.version")
}

func sidecarID(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

// Presence is written now and then, and a poll does without.
func TestPresenceIsBestEffort(t *testing.T) {
	w := newWorld(t, setting{})
	w.vars["admin.token"] = w.token("admin")
	seen := func(want string) {
		t.Helper()
		_, version := w.sidecars()
		require.Equal(t, want, version)
	}
	w.present("admin", sidecarID(1), "1")
	seen("1")
	w.clock.advance(9 * time.Second)
	w.present("admin", sidecarID(1), "2")
	seen("1")
	w.clock.advance(time.Second)
	w.present("admin", sidecarID(1), "3")
	seen("3")

	w.db.noWrites.Store(true)
	w.clock.advance(10 * time.Second)
	w.present("admin", sidecarID(1), "4")
	w.present("admin", sidecarID(2), "4")
	require.Contains(t, w.logs.String(), "presence was not written")
	w.db.noWrites.Store(false)
	seen("3")
	w.clock.advance(10 * time.Second)
	w.present("admin", sidecarID(1), "5")
	seen("5")
}

// Who makes up ids makes no more rows than an agent may have.
func TestPresenceIsBounded(t *testing.T) {
	w := newWorld(t, setting{})
	w.vars["admin.token"] = w.token("admin")
	w.agent("admin", "other", "revocations:read")
	for i := range 110 {
		w.present("admin", sidecarID(i), "1")
	}
	total, _ := w.sidecars()
	require.InDelta(t, 100, total, 0)
	w.present("other", sidecarID(0), "1")
	total, _ = w.sidecars()
	require.InDelta(t, 101, total, 0, "another agent has its own")
	w.clock.advance(10 * time.Second)
	w.present("admin", sidecarID(120), "2")
	w.present("admin", sidecarID(7), "2")
	total, version := w.sidecars()
	require.InDelta(t, 101, total, 0)
	require.Equal(t, "2", version, "the rows there are go on")
}

// The list shows the cursor of the latest poll, which no row has yet, and who
// acknowledged it when.
func TestTheCursorOfALivePollShows(t *testing.T) {
	w := newWorld(t, setting{})
	w.vars["admin.token"] = w.token("admin")
	poll := func(cursor string) {
		t.Helper()
		path := feedPath
		if cursor != "" {
			path += "?after=" + cursor
		}
		a := w.call(w.vars["admin.token"], http.MethodGet, path, "", "X-Sidecar-Id", sidecarID(1), "X-Sidecar-Name", "edge")
		require.Equal(w.t, http.StatusOK, a.status, string(a.body))
	}
	listed := func() (entry map[string]any) {
		t.Helper()
		a := w.call(w.vars["admin.token"], http.MethodGet, "/api/v1/sidecars", "")
		require.Equal(t, http.StatusOK, a.status)
		first, _ := lookup(a.json(), "data.0")
		return first.(map[string]any)
	}
	w.seed()
	cursor := w.vars["cursor"]
	began := w.clock.now()
	poll("")
	require.Equal(t, "edge", listed()["name"])
	require.Contains(t, listed()["agentEmail"], "@")
	require.NotContains(t, listed(), "feedCursor")
	w.clock.advance(time.Second)
	poll(cursor)
	w.clock.advance(time.Second)
	poll(cursor)
	got := listed()
	require.Equal(t, cursor, got["feedCursor"])
	require.InDelta(t, 0, got["feedSequence"], 0)
	require.Equal(t, began.Add(time.Second).Format(idp.TimeLayout), got["feedCursorAt"])
	require.Equal(t, began.Add(2*time.Second).Format(idp.TimeLayout), got["seenAt"])
	poll("another.3")
	require.NotContains(t, listed(), "feedSequence", "of another feed")
	w.clock.advance(time.Minute)
	poll(cursor)
	w.clock.advance(time.Hour) // forgotten, but in the row
	w.vars["admin.token"] = w.token("admin")
	require.Equal(t, began.Add(time.Minute+2*time.Second).Format(idp.TimeLayout), listed()["feedCursorAt"])
}
