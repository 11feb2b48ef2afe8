package sqlite

import "sync"

// watchers tells everyone that a revocation or a key changed. The zero value is ready.
type watchers struct {
	mu       sync.Mutex // guards channels
	channels map[chan struct{}]struct{}
}

// add returns a channel that holds at most one signal, and what removes it.
func (w *watchers) add() (<-chan struct{}, func()) {
	channel := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.channels == nil {
		w.channels = make(map[chan struct{}]struct{})
	}
	w.channels[channel] = struct{}{}
	return channel, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.channels, channel)
	}
}

func (w *watchers) signal() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for channel := range w.channels {
		select {
		case channel <- struct{}{}:
		default: // one is waiting already
		}
	}
}
