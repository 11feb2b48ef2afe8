// Package cache remembers a bounded amount in ristretto, which keeps what is asked
// for often. What is set may be there later, or never: only for what can be found out again.
package cache

import (
	"fmt"
	"sync/atomic"

	"github.com/dgraph-io/ristretto/v2"
)

const (
	// countersPerEntry is a fifth of what ristretto advises. Counts are halved after
	// as many lookups, and nothing leaves by time: the more there are, the longer
	// tokens that are over keep out those in use; the fewer, the sooner a flood of
	// new ones pushes out those in use. ADR 19 has the figures.
	countersPerEntry = 2
	minCounters      = 1 << 10
	// bufferItems are how many lookups a processor counts together; ristretto's advice.
	bufferItems = 64
	// sweepSeconds: the sweep of what expired finds nothing, and must not wake anybody.
	sweepSeconds = 24 * 60 * 60
)

// Cache finds values by 64-bit hashes, of which nobody outside may know the key. Two
// keys may have one hash: the value must tell whose it is, and until when it is good.
// It is safe for concurrent use; Close it after the last use.
type Cache[V comparable] struct {
	inner  *ristretto.Cache[uint64, V]
	closed atomic.Bool
}

// New makes a cache of values whose costs are at most bound together, about entries
// of them. forgotten is called, from a goroutine of the cache, for each value that is
// pushed out, or refused after Set took it.
func New[V comparable](bound, entries int64, forgotten func()) (*Cache[V], error) {
	c := &Cache[V]{}
	count := func() {
		if !c.closed.Load() {
			forgotten()
		}
	}
	var none V
	var err error
	c.inner, err = ristretto.NewCache(&ristretto.Config[uint64, V]{
		NumCounters: max(countersPerEntry*entries, minCounters),
		MaxCost:     bound, IgnoreInternalCost: true, // the bound is of the callers' costs
		BufferItems:            bufferItems,
		TtlTickerDurationInSec: sweepSeconds,
		KeyToHash:              func(hash uint64) (uint64, uint64) { return hash, 0 },
		OnEvict: func(item *ristretto.Item[V]) {
			// One that is drawn twice to be pushed out is nothing the second time.
			if item.Value != none {
				count()
			}
		},
		OnReject: func(item *ristretto.Item[V]) {
			// Of two that set a new hash at once, the second is refused: nothing is lost.
			if _, known := c.inner.GetTTL(item.Key); !known {
				count()
			}
		},
	})
	if err != nil {
		return nil, fmt.Errorf("cache: %w", err)
	}
	return c, nil
}

// Get returns the value of the hash, and whether there is one.
func (c *Cache[V]) Get(hash uint64) (value V, found bool) { return c.inner.Get(hash) }

// Set gives the value to the cache, in place of another of that hash at once, else
// some time later. It returns whether the cache took it, which may still refuse it: what
// is dearer than the bound, and at the bound what is asked for more seldom than what is
// there. cost is positive, value not the zero value.
func (c *Cache[V]) Set(hash uint64, value V, cost int64) (taken bool) {
	return c.inner.Set(hash, value, cost)
}

// Wait returns when what was set before is there, or refused: for tests.
func (c *Cache[V]) Wait() { c.inner.Wait() }

// Len is how many values there are. It goes through all of them: for tests.
func (c *Cache[V]) Len() (n int) {
	c.inner.IterValues(func(V) bool { n++; return false })
	return n
}

// Close forgets everything, uncounted, and ends the cache's goroutines.
func (c *Cache[V]) Close() {
	c.closed.Store(true)
	c.inner.Close()
}
