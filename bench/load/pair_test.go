package load

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"
)

func TestAPairIsAskedInTurn(t *testing.T) {
	var mu sync.Mutex
	order := ""
	of := [2]Scenario{}
	for i, name := range []string{"a", "b"} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			order += name
			if order == "abab" {
				w.WriteHeader(http.StatusTeapot)
			}
		}))
		defer server.Close()
		of[i] = Scenario{Name: name, Addr: strings.TrimPrefix(server.URL, "http://"), Fill: func(request *fasthttp.Request, _, _ int) { request.SetRequestURI("/") }}
	}
	of[1].Limit = 3
	results := Pair(t.Context(), time.Minute, of)
	require.Equal(t, "ababab", order, "until the smaller limit")
	require.EqualValues(t, 3, results[0].Requests)
	require.EqualValues(t, 3, results[1].Requests)
	require.Zero(t, results[0].Errors)
	require.EqualValues(t, 1, results[1].Errors)
	require.EqualValues(t, 2, results[1].Latency.TotalCount())
	require.Equal(t, results[0].Elapsed, results[1].Elapsed)
	require.Zero(t, Pair(t.Context(), 0, of)[0].Requests)
}
