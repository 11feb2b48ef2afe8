package proxy

import "time"

// gate bounds how many requests are judged at once, so that a flood costs
// waiting and not cryptography. A token that has to be verified waits for its
// turn outside.
type gate struct {
	places chan struct{}
	wait   time.Duration
}

func newGate(places int, wait time.Duration) *gate {
	return &gate{places: make(chan struct{}, places), wait: wait}
}

// enter takes a place; false when none became free in time. leave gives it back.
func (g *gate) enter() bool {
	select {
	case g.places <- struct{}{}:
		return true
	default:
	}
	timer := time.NewTimer(g.wait)
	defer timer.Stop()
	select {
	case g.places <- struct{}{}:
		return true
	case <-timer.C:
		return false
	}
}

func (g *gate) leave() { <-g.places }
