package faults

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// load is clients that live whole lives of agents until it is stopped.
type load struct {
	client  *client
	ended   atomic.Bool
	workers sync.WaitGroup
}

const loadWorkers = 3

func (tr *trial) load() *load { return startLoad(tr.client, loadWorkers) }

func startLoad(c *client, workers int) *load {
	l := &load{client: c}
	for n := range workers {
		l.workers.Go(func() {
			for round := n; !l.ended.Load(); round++ {
				l.life(round)
			}
		})
	}
	return l
}

// stop ends the load; requests under way finish.
func (l *load) stop() {
	l.ended.Store(true)
	l.workers.Wait()
}

const pause = 5 * time.Millisecond // of a client between an answer it did not want and its next attempt

// until repeats what was refused for now or got no answer. It gives up at a
// refusal that is final.
func (l *load) until(attempt func() deed) (deed, bool) {
	for {
		d := attempt()
		switch {
		case d.told == yes:
			return d, true
		case d.told == no && d.status != http.StatusServiceUnavailable && d.status != http.StatusUnauthorized:
			return d, false
		case l.ended.Load():
			return d, false
		}
		time.Sleep(pause)
	}
}

// life is an agent from its creation to its end. What had no answer is asked
// again: with the same Idempotency-Key where there is one.
func (l *load) life(round int) {
	c, key := l.client, fmt.Sprintf("life-%d", requests.Add(1))
	var h holder
	var token string
	email := fmt.Sprintf("life-%d@example.com", emails.Add(1))
	steps := []func() deed{
		func() (d deed) { d, h = c.create(email, key); return d },
		func() (d deed) {
			// Its secret is told once. Without an answer there is none: another one.
			var fresh holder
			if d, fresh = c.credential(h, ""); d.told == yes {
				h = fresh
			}
			return d
		},
		func() (d deed) { d, token = c.issue(h); return d },
		func() (d deed) { d, _ = c.issue(h); return d },
		func() deed { return c.revoke(h, token) },
		func() (d deed) { d, h = c.rotate(h, ""); return d },
		func() (d deed) { d, token = c.issue(h); return d },
	}
	last := []func() deed{
		func() deed { return c.suspend(h) }, func() deed { return c.remove(h) }, func() deed { return c.withdraw(h) }, nil,
	}[round%4]
	if last != nil {
		steps = append(steps, last)
	}
	for _, step := range steps {
		if _, ok := l.until(step); !ok {
			return
		}
	}
}

// answered is how many requests have been acknowledged so far.
func (l *ledger) answered() int { return l.count(func(d *deed) bool { return d.told == yes }) }

// flowing waits until the load gets so many more acknowledgements.
func (tr *trial) flowing(more int) time.Duration {
	tr.Helper()
	before := tr.ledger.answered()
	return await(tr.T, "the load is served", func() bool { return tr.ledger.answered() >= before+more })
}

// wrong are the answers that no fault excuses: 5xx other than 503, and 503
// without the word when to come back.
func (tr *trial) wrong() (found []string) {
	for _, d := range tr.ledger.all() {
		if d.status >= 500 && d.status != http.StatusServiceUnavailable || d.status == http.StatusServiceUnavailable && d.retryAfter == "" {
			found = append(found, fmt.Sprintf("%s %s: %d %s", d.kind, d.id, d.status, d.reply))
		}
	}
	return found
}
