package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"
)

// disturbance is something that operators do while the load goes on. It checks
// its own effect; an error of it is an error of the run.
type disturbance struct {
	name  string
	every time.Duration
	do    func(context.Context) error
}

// patience is how long a disturbance may take beside its own pauses.
const patience = 30 * time.Second

// journal is what was done and when. Its methods are safe for concurrent use.
type journal struct {
	began  time.Time
	wanted []string // names of all disturbances

	mu      sync.Mutex
	done    map[string]int // by name
	recent  []string       // since it was read last
	failed  int
	failure string // the first
}

func newJournal(all []disturbance) *journal {
	j := &journal{began: time.Now(), done: map[string]int{}}
	for _, d := range all {
		j.wanted = append(j.wanted, d.name)
	}
	return j
}

func (j *journal) add(name string, began time.Time, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	entry := fmt.Sprintf("%s at %s for %s", name, began.Sub(j.began).Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
	if err == nil {
		j.done[name]++
	} else {
		entry += ": " + err.Error()
		if j.failed++; j.failure == "" {
			j.failure = entry
		}
	}
	j.recent = append(j.recent, entry)
}

// undone are those that never came to a good end: the run did not show that they do no harm.
func (j *journal) undone() (names []string) {
	for _, name := range j.wanted {
		if j.done[name] == 0 {
			names = append(names, name)
		}
	}
	return names
}

// read is what ended since it was read last, and how much of it ever failed.
func (j *journal) read() (recent string, failed int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	recent, j.recent = strings.Join(j.recent, "; "), nil
	return recent, j.failed
}

// disturb does all of them in turns until the context ends, and waits for those
// under way; what the end cut off counts as not begun.
func disturb(ctx context.Context, j *journal, all []disturbance) {
	var running sync.WaitGroup
	for i, d := range all {
		running.Go(func() {
			next := time.NewTimer(d.every * time.Duration(i+1) / time.Duration(len(all)+1)) // not all at once
			defer next.Stop()
			for {
				select {
				case <-next.C:
				case <-ctx.Done():
					return
				}
				began := time.Now()
				next.Reset(d.every)
				limited, cancel := context.WithTimeout(ctx, d.every+patience)
				err := d.do(limited)
				cancel()
				if ctx.Err() == nil {
					j.add(d.name, began, err)
				}
			}
		})
	}
	running.Wait()
}

// until asks again and again until it holds, an error, or a question that was
// asked later than within gets no for an answer: how long an answer takes is not
// what is measured. It gives the time of the question that got a yes.
func until(ctx context.Context, what string, within, every time.Duration, holds func(context.Context) (bool, error)) (time.Duration, error) {
	began := time.Now()
	for {
		asked := time.Since(began)
		is, err := holds(ctx)
		switch {
		case err != nil:
			return asked, err
		case is:
			return asked, nil
		case asked > within:
			return asked, fmt.Errorf("%s: not within %s", what, within)
		}
		if err := pause(ctx, every); err != nil {
			return asked, err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
