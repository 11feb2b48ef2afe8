package load_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"

	"github.com/sentryagent/agentidp/bench/load"
)

func TestRunCountsWhatTheServerSaw(t *testing.T) {
	var seen, refused atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if seen.Add(1)%10 == 1 {
			refused.Add(1)
			http.Error(w, "no", http.StatusTeapot)
		}
	}))
	defer server.Close()
	result := load.Run(t.Context(), load.Scenario{
		Name: "test", Addr: strings.TrimPrefix(server.URL, "http://"), Want: http.StatusOK,
		Fill: func(request *fasthttp.Request, _, _ int) { request.SetRequestURI("/x") },
	}, 4, time.Second)
	require.Equal(t, seen.Load(), result.Requests)
	require.Equal(t, refused.Load(), result.Errors)
	require.Equal(t, result.Requests-result.Errors, result.Latency.TotalCount())
	require.Contains(t, result.String(), "status 418")
	require.Positive(t, result.Rate())
	require.LessOrEqual(t, result.Quantile(50), result.Quantile(99))
}

func TestALimitEndsEachConnection(t *testing.T) {
	var seen atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { seen.Add(1) }))
	defer server.Close()
	result := load.Run(t.Context(), load.Scenario{
		Name: "test", Addr: strings.TrimPrefix(server.URL, "http://"), Want: http.StatusOK, Limit: 7,
		Fill: func(request *fasthttp.Request, _, _ int) { request.SetRequestURI("/x") },
	}, 3, time.Hour)
	require.Equal(t, int64(21), seen.Load())
	require.Equal(t, int64(21), result.Requests)
	require.Zero(t, result.Errors)
}

// Who says when to come back turned away; who does not has failed.
func TestWhoIsTurnedAway(t *testing.T) {
	var seen, later, never atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		switch n := seen.Add(1); n % 4 {
		case 0:
			later.Add(1)
			w.Header().Set("Retry-After", "1")
			http.Error(w, "busy", []int{http.StatusTooManyRequests, http.StatusServiceUnavailable}[n/4%2])
		case 1:
			never.Add(1)
			http.Error(w, "broken", http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()
	s := load.Scenario{
		Addr: strings.TrimPrefix(server.URL, "http://"), Want: http.StatusOK, Limit: 40, Sheds: true,
		Fill: func(request *fasthttp.Request, _, _ int) { request.SetRequestURI("/x") },
	}
	result := load.Run(t.Context(), s, 2, time.Hour)
	require.EqualValues(t, 80, result.Requests)
	require.Equal(t, later.Load(), result.TurnedAway)
	require.Equal(t, never.Load(), result.Errors)
	require.EqualValues(t, 40, result.Latency.TotalCount(), "of those served")
	require.InDelta(t, 40, result.Rate()*result.Elapsed.Seconds(), 1e-6)
	require.Contains(t, result.String(), "20 of 80 turned away")

	s.Sheds = false
	require.EqualValues(t, 40, load.Run(t.Context(), s, 2, time.Hour).Errors)
}
