package jwksfetch

import (
	"time"

	"github.com/sentryagent/agentidp/idp/internal/clientauth"
)

// The bounds of what is remembered.
const (
	maxEntries = 4096
	maxBytes   = 16 << 20
	entryBytes = 1 << 10 // of an entry beside its URI and keys, its error included; about
)

// entry is what is known of one address.
type entry struct {
	keys    *clientauth.KeySet // nil: never fetched
	fetched time.Time          // of keys
	expires time.Time          // of keys
	tried   time.Time          // when the last fetch began, whatever became of it
	used    time.Time
	err     error         // of the last fetch
	pending chan struct{} // closed when the fetch under way is done; nil: there is none
}

func (e *entry) size(at clientauth.KeyAddress) int {
	size := entryBytes + len(at.URI)
	if e.keys != nil {
		size += e.keys.Size()
	}
	return size
}

// cache is bounded in entries and in bytes. No organization knows what another
// fetched, nor pushes it out while it holds more itself. Fetcher.mu guards it.
type cache struct {
	entries map[clientauth.KeyAddress]*entry
	bytes   int
	shares  map[string]int // bytes by organization; none is zero
}

func newCache() cache {
	return cache{entries: map[clientauth.KeyAddress]*entry{}, shares: map[string]int{}}
}

// find finds the entry of an address, or makes one.
func (c *cache) find(at clientauth.KeyAddress, now time.Time) *entry {
	e := c.entries[at]
	if e == nil {
		e = &entry{err: errNever, used: now}
		c.entries[at] = e
		c.account(at.OrganizationID, e.size(at))
		c.shrink(e)
	}
	e.used = now
	return e
}

// put keeps the keys that were fetched for an entry.
func (c *cache) put(at clientauth.KeyAddress, e *entry, keys *clientauth.KeySet) {
	before := e.size(at)
	e.keys = keys
	c.account(at.OrganizationID, e.size(at)-before)
	c.shrink(e)
}

func (c *cache) account(organization string, bytes int) {
	c.bytes += bytes
	if c.shares[organization] += bytes; c.shares[organization] == 0 {
		delete(c.shares, organization)
	}
}

// shrink evicts until the bounds hold: of the organization that takes most, what
// was longest not used. What is being fetched stays, and fresh.
func (c *cache) shrink(fresh *entry) {
	for len(c.entries) > maxEntries || c.bytes > maxBytes {
		at, found := c.victim(fresh)
		if !found {
			return // all is being fetched, which is bounded
		}
		c.account(at.OrganizationID, -c.entries[at].size(at))
		delete(c.entries, at)
	}
}

func (c *cache) victim(fresh *entry) (at clientauth.KeyAddress, found bool) {
	for candidate, e := range c.entries {
		if e == fresh || e.pending != nil {
			continue
		}
		mine, theirs := c.shares[candidate.OrganizationID], c.shares[at.OrganizationID]
		if !found || mine > theirs || mine == theirs && e.used.Before(c.entries[at].used) {
			at, found = candidate, true
		}
	}
	return at, found
}
