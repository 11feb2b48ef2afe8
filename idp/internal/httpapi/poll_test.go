package httpapi_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// poll is a long poll under way.
type poll struct {
	cancel context.CancelFunc
	done   chan *http.Response // nil: it failed
}

func (w *world) poll(cursor string) *poll {
	ctx, cancel := context.WithCancel(w.t.Context())
	p := &poll{cancel: cancel, done: make(chan *http.Response, 1)}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.base+"/api/v1/revocations?wait=30&after="+cursor, nil)
	require.NoError(w.t, err)
	request.Header.Set("Authorization", "Bearer "+w.vars["admin.token"])
	go func() {
		response, err := w.http.Do(request)
		if err != nil {
			response = nil
		}
		p.done <- response
	}()
	w.t.Cleanup(cancel)
	return p
}

func (w *world) waiting(count string) {
	w.t.Helper()
	require.Eventually(w.t, func() bool { return w.metric("agentidp_feed_polls") == count }, time.Minute, 5*time.Millisecond)
}

func newPollWorld(t *testing.T, most int) *world {
	w := newWorld(t, setting{maxPolls: most})
	w.vars["admin.token"] = w.token("admin")
	w.seed()
	return w
}

func (p *poll) answer(t *testing.T) *http.Response {
	t.Helper()
	select {
	case response := <-p.done:
		require.NotNil(t, response)
		t.Cleanup(func() { require.NoError(t, response.Body.Close()) })
		return response
	case <-time.After(time.Minute):
		require.Fail(t, "the poll does not end")
		return nil
	}
}

func TestPollEndsWithNews(t *testing.T) {
	w := newPollWorld(t, 0)
	p := w.poll(w.vars["cursor"])
	w.waiting("1")
	require.Equal(t, http.StatusCreated, w.call(w.vars["admin.token"], http.MethodPost, "/api/v1/revocations", `{"type":"jti","id":"x"}`).status)
	require.Equal(t, http.StatusOK, p.answer(t).StatusCode)
	w.waiting("0")
}

func TestPollEndsWithTheServer(t *testing.T) {
	w := newPollWorld(t, 0)
	p := w.poll(w.vars["cursor"])
	w.waiting("1")
	w.stop() // it would cut the poll off after ten seconds
	require.Equal(t, http.StatusOK, p.answer(t).StatusCode)
}

func TestPollEndsWithItsClient(t *testing.T) {
	w := newPollWorld(t, 0)
	p := w.poll(w.vars["cursor"])
	w.waiting("1")
	p.cancel()
	w.waiting("0")
}

func TestPollsAreBounded(t *testing.T) {
	w := newPollWorld(t, 2)
	first, second := w.poll(w.vars["cursor"]), w.poll(w.vars["cursor"])
	w.waiting("2")
	a := w.call(w.vars["admin.token"], http.MethodGet, "/api/v1/revocations?wait=30&after="+w.vars["cursor"], "")
	require.Equal(t, http.StatusServiceUnavailable, a.status)
	require.Equal(t, "OVERLOADED", a.text("code"))
	require.Equal(t, "1", a.header.Get("Retry-After"))
	a = w.call(w.vars["admin.token"], http.MethodGet, "/api/v1/revocations?after="+w.vars["cursor"], "")
	require.Equal(t, http.StatusOK, a.status, "who does not wait needs no place")
	first.cancel()
	second.cancel()
	w.waiting("0")
}
