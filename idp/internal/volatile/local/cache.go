package local

import (
	"bytes"
	"container/list"
	"context"
	"sync"
	"time"

	"github.com/sentryagent/agentidp/idp/internal/volatile"
)

const (
	defaultBytes = 16 << 20
	entryBytes   = 200 // what an entry costs beside its key and value, about
)

// Cache is a volatile.Cache of this process. What was not used for longest
// makes room.
type Cache struct {
	now func() time.Time

	mu      sync.Mutex
	max     int                      // bytes
	used    int                      // bytes; guarded by mu
	entries map[string]*list.Element // guarded by mu
	recent  list.List                // of *entry, last used first; guarded by mu
}

type entry struct {
	key     string
	value   []byte
	expires time.Time
}

func (e *entry) size() int { return len(e.key) + len(e.value) + entryBytes }

// NewCache makes an empty cache of at most maxBytes; now defaults to time.Now.
func NewCache(maxBytes int, now func() time.Time) *Cache {
	if now == nil {
		now = time.Now
	}
	return &Cache{now: now, max: maxBytes, entries: map[string]*list.Element{}}
}

// Get implements volatile.Cache.
func (c *Cache) Get(_ context.Context, key string) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	element := c.entries[key]
	if element == nil {
		return nil, false
	}
	e := element.Value.(*entry)
	if !c.now().Before(e.expires) {
		c.drop(element)
		return nil, false
	}
	c.recent.MoveToFront(element)
	return bytes.Clone(e.value), true
}

// Set implements volatile.Cache.
func (c *Cache) Set(_ context.Context, key string, value []byte, ttl time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(c.entries[key])
	e := &entry{key: key, value: append([]byte{}, value...), expires: c.now().Add(min(ttl, volatile.MaxTTL))}
	if ttl <= 0 || len(value) > volatile.MaxValue || e.size() > c.max {
		return
	}
	c.entries[key] = c.recent.PushFront(e)
	for c.used += e.size(); c.used > c.max; {
		c.drop(c.recent.Back())
	}
}

// Delete implements volatile.Cache.
func (c *Cache) Delete(_ context.Context, key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(c.entries[key])
}

// drop forgets an entry, if there is one. The caller holds the lock.
func (c *Cache) drop(element *list.Element) {
	if element == nil {
		return
	}
	e := c.recent.Remove(element).(*entry)
	delete(c.entries, e.key)
	c.used -= e.size()
}
