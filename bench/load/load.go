// Package load sends HTTP requests and measures them: in a closed loop, one in
// flight per connection, for throughput; in an open loop at a fixed rate, for
// latency as clients meet it who do not wait for each other.
package load

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

// Scenario is one kind of request against one server.
type Scenario struct {
	Name string
	Addr string      // host:port
	TLS  *tls.Config // nil: plain HTTP
	// Fill writes request n of a connection; the request is reused and was reset.
	// In an open loop all requests are of connection 0, and Fill is called concurrently.
	Fill func(request *fasthttp.Request, connection, n int)
	// Want is the status that counts as success; 0: any of 200 to 299.
	Want int
	// Sheds says that the server may turn requests away, by 429 or 503 with a
	// Retry-After: they are in TurnedAway then, and neither errors nor successes.
	Sheds bool
	// Limit is how many requests a connection sends at most; 0: as many as it
	// can. Only for the closed loop.
	Limit int
	// Timeout is how long one request may take; 0: 30 s.
	Timeout time.Duration
}

const defaultTimeout = 30 * time.Second

// Run keeps the connections busy for the duration: the closed loop.
func Run(ctx context.Context, s Scenario, connections int, duration time.Duration) Result {
	client := s.client(connections)
	defer client.CloseIdleConnections()
	results := make([]Result, connections)
	began := time.Now()
	until := began.Add(duration)
	var workers sync.WaitGroup
	for i := range connections {
		workers.Go(func() { results[i] = s.loop(ctx, client, i, until) })
	}
	workers.Wait()
	return sum(Result{Name: s.Name, Connections: connections, Elapsed: time.Since(began)}, results)
}

// Pair sends a request to the one and then to the other, in turn, one in flight:
// whatever befalls the machine befalls both, so that their latencies may be
// subtracted. It ends with the duration or the smaller Limit.
func Pair(ctx context.Context, duration time.Duration, of [2]Scenario) (results [2]Result) {
	var clients [2]*fasthttp.HostClient
	for i, s := range of {
		clients[i] = s.client(1)
		defer clients[i].CloseIdleConnections()
		results[i] = Result{Name: s.Name, Connections: 1, Latency: histogram()}
	}
	request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(request)
	defer fasthttp.ReleaseResponse(response)
	began := time.Now()
	for n := 0; ctx.Err() == nil && time.Since(began) < duration; n++ {
		if of[0].Limit > 0 && n >= of[0].Limit || of[1].Limit > 0 && n >= of[1].Limit {
			break
		}
		for i, s := range of {
			s.fill(request, 0, n)
			sent := time.Now()
			err := s.send(clients[i], request, response)
			results[i].record(time.Since(sent), err)
		}
	}
	took := time.Since(began)
	results[0].Elapsed, results[1].Elapsed = took, took
	return results
}

func (s Scenario) client(connections int) *fasthttp.HostClient {
	timeout := s.Timeout
	if timeout == 0 {
		timeout = defaultTimeout
	}
	return &fasthttp.HostClient{
		Addr: s.Addr, IsTLS: s.TLS != nil, TLSConfig: s.TLS, MaxConns: connections, NoDefaultUserAgentHeader: true,
		ReadTimeout: timeout, WriteTimeout: timeout, MaxIdemponentCallAttempts: 1, DialDualStack: true,
		ReadBufferSize: 16 << 10, // room for large heads
	}
}

func (s Scenario) loop(ctx context.Context, client *fasthttp.HostClient, connection int, until time.Time) Result {
	r := Result{Latency: histogram()}
	request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(request)
	defer fasthttp.ReleaseResponse(response)
	for n := 0; (s.Limit == 0 || n < s.Limit) && ctx.Err() == nil && time.Now().Before(until); n++ {
		s.fill(request, connection, n)
		began := time.Now()
		err := s.send(client, request, response)
		r.record(time.Since(began), err)
	}
	return r
}

func (s Scenario) fill(request *fasthttp.Request, connection, n int) {
	request.Reset()
	request.Header.SetHost(s.Addr)
	s.Fill(request, connection, n)
	// The client refuses a request whose scheme is not its own.
	if s.TLS != nil {
		request.URI().SetScheme("https")
	} else {
		request.URI().SetScheme("http")
	}
}

var errTurnedAway = errors.New("turned away")

// send is an error for a transport failure and for a status that is not wanted.
func (s Scenario) send(client *fasthttp.HostClient, request *fasthttp.Request, response *fasthttp.Response) error {
	if err := client.Do(request, response); err != nil {
		return err
	}
	status := response.StatusCode()
	if status == s.Want || s.Want == 0 && status/100 == 2 {
		return nil
	}
	busy := status == fasthttp.StatusTooManyRequests || status == fasthttp.StatusServiceUnavailable
	if s.Sheds && busy && len(response.Header.Peek("Retry-After")) > 0 {
		return errTurnedAway
	}
	return fmt.Errorf("status %d: %.200s", status, response.Body())
}

// Once sends one request, and returns the head of its answer when that is what
// is wanted.
func Once(s Scenario) (*fasthttp.ResponseHeader, error) {
	client := s.client(1)
	defer client.CloseIdleConnections()
	request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(request)
	defer fasthttp.ReleaseResponse(response)
	s.fill(request, 0, 0)
	if err := s.send(client, request, response); err != nil {
		return nil, err
	}
	header := &fasthttp.ResponseHeader{}
	response.Header.CopyTo(header)
	return header, nil
}
