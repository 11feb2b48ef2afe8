package local

import (
	"context"
	"sync"
)

// Bus is a volatile.Bus of this process.
type Bus struct {
	mu          sync.Mutex
	subscribers map[string]map[chan struct{}]struct{} // by topic; guarded by mu
}

// NewBus makes a bus without subscribers.
func NewBus() *Bus { return &Bus{subscribers: map[string]map[chan struct{}]struct{}{}} }

// Publish implements volatile.Bus.
func (b *Bus) Publish(_ context.Context, topic string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	signal(b.subscribers[topic])
}

// PublishAll signals every subscriber of every topic.
func (b *Bus) PublishAll() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, subscribers := range b.subscribers {
		signal(subscribers)
	}
}

func signal(subscribers map[chan struct{}]struct{}) {
	for subscriber := range subscribers {
		select {
		case subscriber <- struct{}{}:
		default: // one is waiting there already
		}
	}
}

// Subscribe implements volatile.Bus.
func (b *Bus) Subscribe(topic string) (<-chan struct{}, func()) {
	subscriber := make(chan struct{}, 1)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.subscribers[topic] == nil {
		b.subscribers[topic] = map[chan struct{}]struct{}{}
	}
	b.subscribers[topic][subscriber] = struct{}{}
	return subscriber, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.subscribers[topic], subscriber)
		if len(b.subscribers[topic]) == 0 {
			delete(b.subscribers, topic)
		}
	}
}
