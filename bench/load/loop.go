package load

import (
	"context"
	"sync"
	"time"
)

// Loop calls op from so many goroutines, each in its own loop, for the duration:
// Run for what is no HTTP request.
func Loop(ctx context.Context, callers int, duration time.Duration, op func(context.Context) error) Result {
	results := make([]Result, callers)
	began := time.Now()
	var workers sync.WaitGroup
	for i := range callers {
		workers.Go(func() {
			r := Result{Latency: histogram()}
			for last := time.Now(); last.Sub(began) < duration && ctx.Err() == nil; {
				err := op(ctx)
				now := time.Now()
				r.record(now.Sub(last), err)
				last = now
			}
			results[i] = r
		})
	}
	workers.Wait()
	return sum(Result{Connections: callers, Elapsed: time.Since(began)}, results)
}
