package faults

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// load is clients that ask one thing after the other until it is stopped.
type load struct {
	ledger  *ledger
	ended   atomic.Bool
	workers sync.WaitGroup
	// unserved counts requests for which nobody took a connection, or nobody was there.
	unserved atomic.Int64
}

// ask is what the n-th request of a client wants: the path, and the token.
type asking func(n int) (path, token string)

// mix is what agents do: mostly what they may, now and then what they may not.
// what says how many of a hundred requests take their time, or come without a token.
func mix(token string) asking {
	return func(n int) (string, string) {
		switch {
		case n%50 == 7:
			return "/large", token
		case n%25 == 11:
			return "/secret", token
		case n%40 == 13:
			return "/wait/30", token
		}
		return fmt.Sprintf("/notes/%d", n%20), token
	}
}

// pause of a client between an answer it did not get and its next attempt.
const pause = 5 * time.Millisecond

// start lets clients ask the address that where says then; "": nobody now.
// every is the time between two requests of one client; 0: at once.
func start(l *ledger, workers int, every time.Duration, where func() string, what asking) *load {
	running := &load{ledger: l}
	for range workers {
		running.workers.Go(func() {
			c := newCaller(l)
			defer c.close()
			next := time.Now()
			for n := 0; !running.ended.Load(); n++ {
				addr := where()
				if addr == "" {
					running.unserved.Add(1)
					time.Sleep(pause)
					continue
				}
				path, token := what(n)
				switch c.get(addr, path, token).told {
				case missed:
					running.unserved.Add(1)
					time.Sleep(pause)
				case cut:
					time.Sleep(pause)
				case answers:
				}
				if every > 0 {
					next = next.Add(every)
					time.Sleep(time.Until(next))
				}
			}
		})
	}
	return running
}

// stop ends the load; requests under way finish.
func (l *load) stop() {
	l.ended.Store(true)
	l.workers.Wait()
}

// at always asks the same sidecar.
func at(s *sidecar) func() string { return func() string { return s.addr } }
