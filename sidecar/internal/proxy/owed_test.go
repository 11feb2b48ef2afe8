package proxy_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What an upstream may have got and nobody has written down yet is owed, until
// it is: a process that is killed meanwhile leaves the number behind.
func TestWhatTheUpstreamHasIsOwed(t *testing.T) {
	for name, fact := range map[string]struct {
		serve       func(t *testing.T, handler http.HandlerFunc) (url, routes string)
		path, token string
	}{
		"over HTTP/1.1":         {plainUpstream, "/notes", tokens(t).good(t)},
		"over HTTP/2":           {multiplexedUpstream, "/notes", tokens(t).good(t)},
		"of a stranger":         {plainUpstream, "/open", ""},
		"of a stranger, HTTP/2": {multiplexedUpstream, "/open", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var w *world
			owed := make(chan int64, 1)
			url, routes := fact.serve(t, func(rw http.ResponseWriter, _ *http.Request) {
				owed <- w.records.owes() + int64(len(w.records.started())) // the record of a start pays, if the machine made it a stream
				_, _ = io.WriteString(rw, "here")
			})
			w = newWorld(t, url)
			w.replace(routes)
			require.Equal(t, 200, w.get(fact.path, fact.token).StatusCode)
			require.Positive(t, <-owed)
			require.EqualValues(t, 1, w.records.owedAtMost())
			require.Len(t, w.records.all(), 1)
			require.Zero(t, w.records.owes())
		})
	}
}

func plainUpstream(t *testing.T, handler http.HandlerFunc) (url, file string) {
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL, routes
}

func multiplexedUpstream(t *testing.T, handler http.HandlerFunc) (url, file string) {
	url = h2cUpstream(t, handler)
	return url, over(url)
}

// Nothing is owed of what no upstream can have. Who asks has its answer when the
// record is kept, and not before.
func TestWhatIsNotSentIsNotOwed(t *testing.T) {
	w := newWorld(t, "http://127.0.0.1:1")
	good := tokens(t).good(t)
	w.refuses(w.get("/secret", good), 403, "capability_missing")
	w.refuses(w.get("/notes", good), 502, "upstream_unreachable")
	for path, allowed := range map[string]bool{"/notes": true, "/secret": false, "/open": true} {
		w.records.take()
		v := w.proxy.Ask(asked(path, "Authorization: Bearer "+good))
		require.Equal(t, allowed, v.Allowed)
		require.Equal(t, v.DecisionID, w.records.take()[0].DecisionID)
	}
	require.Zero(t, w.records.owedAtMost())
	w.records.set(false, true)
	require.False(t, w.proxy.Ask(asked("/notes", "Authorization: Bearer "+good)).Allowed)
}

// The record of a stream's start pays, and that of its end does not pay again.
func TestStreamsPayAtTheirStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, newEndless(t, 50*time.Millisecond).url)
	conn, _ := w.open("/notes", tokens(t).good(t))
	waitFor(t, "the start is written down", func() bool { return len(w.records.started()) == 1 && w.records.owes() == 0 })
	require.NoError(t, conn.Close())
	waitFor(t, "the end is", func() bool { return len(w.records.all()) == 1 })
	require.Zero(t, w.records.owes())
	require.EqualValues(t, 1, w.records.owedAtMost())
}
