package load

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"
)

func TestRequestsAreDueAtFixedTimes(t *testing.T) {
	for _, c := range []struct {
		rate     float64
		duration time.Duration
		count    int64
		last     time.Duration // when the last one is due
	}{
		{1, time.Second, 1, 0},
		{10, time.Second, 10, 900 * time.Millisecond},
		{1000, 250 * time.Millisecond, 250, 249 * time.Millisecond},
		{0.5, 10 * time.Second, 5, 8 * time.Second},
		{3, time.Second, 3, 666_666_666},
		{100, time.Millisecond, 1, 0}, // one at least
	} {
		require.Equal(t, c.count, count(c.rate, c.duration))
		require.InDelta(t, c.last, due(c.rate, c.count-1), 1)
	}
}

func scenario(url string) Scenario {
	return Scenario{Name: "test", Addr: strings.TrimPrefix(url, "http://"), Fill: func(request *fasthttp.Request, _, _ int) { request.SetRequestURI("/") }}
}

// A server that stalls once is charged for everybody who came meanwhile, not
// only for the one request in flight.
func TestAStallIsChargedToAllWhoCameMeanwhile(t *testing.T) {
	const stall = 300 * time.Millisecond
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if asked.Add(1) == 1 {
			time.Sleep(stall)
		}
	}))
	defer server.Close()
	slow := func(r Result) (n int64) {
		for _, bar := range r.Latency.Distribution() {
			if bar.From > (stall / 3).Microseconds() {
				n += bar.Count
			}
		}
		return n
	}
	r := RunOpen(t.Context(), scenario(server.URL), Open{Rate: 100, InFlight: 1, Duration: 500 * time.Millisecond, Patience: time.Minute})
	require.EqualValues(t, 50, r.Scheduled)
	require.EqualValues(t, 50, r.Requests)
	require.Zero(t, r.Errors+r.Missed)
	require.EqualValues(t, 50, r.Latency.TotalCount())
	require.GreaterOrEqual(t, slow(r), int64(19)) // due in the first 200 ms of 300
	require.EqualValues(t, 50, asked.Load())

	asked.Store(0)
	closed := Run(t.Context(), scenario(server.URL), 1, 500*time.Millisecond)
	require.GreaterOrEqual(t, closed.Requests, int64(1))
	require.GreaterOrEqual(t, closed.Latency.Max(), stall.Microseconds())
}

func TestWhatCannotBeSentInTimeIsMissedAndCounted(t *testing.T) {
	release := make(chan struct{})
	asked := sync.OnceFunc(func() { time.AfterFunc(300*time.Millisecond, func() { close(release) }) })
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		asked()
		<-release
	}))
	defer server.Close()
	r := RunOpen(t.Context(), scenario(server.URL), Open{Rate: 100, InFlight: 2, Duration: 200 * time.Millisecond, Patience: 50 * time.Millisecond})
	require.EqualValues(t, 20, r.Scheduled)
	require.EqualValues(t, 20, r.Requests+r.Missed)
	require.GreaterOrEqual(t, r.Missed, int64(18))
	require.EqualValues(t, 20, r.Latency.TotalCount()) // with what the missed had waited
	require.Contains(t, r.String(), "of 20 not sent in time")
	sample := r.Sample()
	require.InDelta(t, float64(r.Missed), sample["unsent"], 0)
	require.InDelta(t, 100, sample["target_rate"], 0)
}

func TestConnectionsAreOpenBeforeTheFirstRequest(t *testing.T) {
	var opened atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	r := RunOpen(t.Context(), scenario(server.URL), Open{Rate: 10, InFlight: 8, Duration: 100 * time.Millisecond, Connected: true})
	require.EqualValues(t, 1, r.Requests)
	require.Zero(t, r.Errors, r.FirstError)
	require.Eventually(t, func() bool { return opened.Load() == 8 }, 10*time.Second, time.Millisecond)
}

func TestEncodedHistogramsComeBack(t *testing.T) {
	r := NewResult("x")
	for i := range 1000 {
		r.Record(time.Duration(i) * time.Millisecond)
	}
	encoded, err := Encode(r.Latency)
	require.NoError(t, err)
	back, err := Decode(encoded)
	require.NoError(t, err)
	require.Equal(t, r.Latency.TotalCount(), back.TotalCount())
	require.Equal(t, r.Latency.ValueAtQuantile(99), back.ValueAtQuantile(99))
	none, err := Encode(NewResult("y").Latency)
	require.NoError(t, err)
	require.Empty(t, none)
	back, err = Decode("")
	require.NoError(t, err)
	require.Zero(t, back.TotalCount())
	_, err = Decode("%")
	require.Error(t, err)
}

func TestALoopCountsItsCalls(t *testing.T) {
	var calls atomic.Int64
	r := Loop(t.Context(), 4, 20*time.Millisecond, func(ctx context.Context) error {
		if calls.Add(1)%2 == 0 {
			return errors.New("even")
		}
		return nil
	})
	require.Equal(t, calls.Load(), r.Requests)
	require.Equal(t, calls.Load()/2, r.Errors)
	require.Equal(t, "even", r.FirstError)
	require.Equal(t, r.Requests-r.Errors, r.Latency.TotalCount())
}
