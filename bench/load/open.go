package load

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

// Open is how an open loop runs.
type Open struct {
	Rate     float64       // requests a second, sent at fixed times whatever becomes of those before
	InFlight int           // requests at once, at most
	Duration time.Duration // of the sending
	// Patience is how late a request may be sent; one that would be later is
	// missed. 0: 1 s.
	Patience time.Duration
	// Connected opens all connections before the first request is due: clients that
	// are there already, not ones that come just now.
	Connected bool
}

const defaultPatience = time.Second

// RunOpen sends at a fixed rate: the open loop. A latency counts from the moment
// at which the request was to be sent, so that a server that stalls is charged for
// every request that it held up, not only for those in flight (coordinated
// omission). A request that could not be sent in time is in Missed, and in Latency
// with the time it had waited, which is less than it would have taken.
func RunOpen(ctx context.Context, s Scenario, o Open) Result {
	if o.Patience == 0 {
		o.Patience = defaultPatience
	}
	client := s.client(o.InFlight)
	defer client.CloseIdleConnections()
	if o.Connected {
		defer connect(client, o.InFlight)()
	}
	total := count(o.Rate, o.Duration)
	released := make(chan int64, o.InFlight)
	results := make([]Result, o.InFlight)
	began := time.Now()
	var workers sync.WaitGroup
	for i := range o.InFlight {
		workers.Go(func() { results[i] = s.serve(client, o, began, released) })
	}
	scheduled := release(ctx, o, began, total, released)
	workers.Wait()
	r := sum(Result{Name: s.Name, Connections: o.InFlight, Target: o.Rate, Elapsed: time.Since(began)}, results)
	r.Scheduled = scheduled
	return r
}

// connect opens n connections for the client, or as many as it can: it dials for
// what it lacks when it needs it. The result closes those that it did not need.
func connect(client *fasthttp.HostClient, n int) (end func()) {
	open := make(chan net.Conn, n)
	for range n {
		conn, err := fasthttp.DialDualStack(client.Addr)
		if err != nil {
			break
		}
		open <- conn
	}
	client.Dial = func(addr string) (net.Conn, error) {
		select {
		case conn := <-open:
			return conn, nil
		default:
			return fasthttp.DialDualStack(addr)
		}
	}
	return func() {
		close(open)
		for conn := range open {
			_ = conn.Close() // nothing was sent on it
		}
	}
}

// count is how many requests are sent in so much time: at 0, 1/rate, 2/rate …
func count(rate float64, duration time.Duration) int64 {
	return max(1, int64(rate*duration.Seconds()))
}

// due is when request n is to be sent, after the begin.
func due(rate float64, n int64) time.Duration {
	return time.Duration(float64(n) / rate * float64(time.Second))
}

// release hands each request to whoever is free when its time has come. When
// nobody is, it waits, and those behind become late: their clocks run already.
func release(ctx context.Context, o Open, began time.Time, total int64, released chan<- int64) int64 {
	defer close(released)
	p := newPacer()
	defer p.close()
	for n := range total {
		p.until(began.Add(due(o.Rate, n)))
		select {
		case released <- n:
		case <-ctx.Done():
			return n
		}
	}
	return total
}

// serve sends what is released.
func (s Scenario) serve(client *fasthttp.HostClient, o Open, began time.Time, released <-chan int64) Result {
	r := Result{Latency: histogram()}
	request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(request)
	defer fasthttp.ReleaseResponse(response)
	for n := range released {
		intended := began.Add(due(o.Rate, n))
		if late := time.Since(intended); late > o.Patience {
			r.miss(late)
			continue
		}
		s.fill(request, 0, int(n))
		err := s.send(client, request, response)
		r.record(time.Since(intended), err)
	}
	return r
}
