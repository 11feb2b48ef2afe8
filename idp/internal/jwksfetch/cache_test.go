package jwksfetch

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/clientauth"
)

func address(organization string, n int) clientauth.KeyAddress {
	return clientauth.KeyAddress{OrganizationID: organization, URI: fmt.Sprintf("https://example.com/%04d", n)}
}

// Whoever takes most makes room.
func TestCacheIsShared(t *testing.T) {
	c, now := newCache(), time.Unix(0, 0)
	for i := range 100 {
		c.find(address("small", i), now)
	}
	for i := range maxEntries + 200 {
		now = now.Add(time.Second)
		c.find(address("big", i), now)
	}
	require.Len(t, c.entries, maxEntries)
	for i := range 100 {
		require.Contains(t, c.entries, address("small", i))
	}
	require.Contains(t, c.entries, address("big", maxEntries+199))
	require.NotContains(t, c.entries, address("big", 299), "what was longest not used")
	require.Contains(t, c.entries, address("big", 300))
}

func TestCacheIsBoundedInBytes(t *testing.T) {
	c, now := newCache(), time.Unix(0, 0)
	set := &clientauth.KeySet{}
	small := c.find(address("small", 0), now)
	c.put(address("small", 0), small, set)
	for i := range 1000 {
		now = now.Add(time.Second)
		at := address("big", i)
		at.URI += string(make([]byte, 30<<10))
		c.put(at, c.find(at, now), set)
		require.LessOrEqual(t, c.bytes, maxBytes)
	}
	require.Less(t, len(c.entries), maxBytes/(30<<10)+2)
	require.Contains(t, c.entries, address("small", 0))
	total := 0
	for at, e := range c.entries {
		total += e.size(at)
	}
	require.Equal(t, total, c.bytes)
	require.Equal(t, total, c.shares["big"]+c.shares["small"])
	for _, e := range c.entries {
		e.pending = make(chan struct{})
	}
	at := address("late", 0)
	at.URI += string(make([]byte, 1<<20))
	c.find(at, now)
	require.Contains(t, c.entries, at, "what is being fetched is not evicted, and what is asked for is there")
}

// At a host that many share each organization has one place in line.
func TestLineAtASharedHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLines(patience)
		order := make(chan string, 10)
		fetch := func(organization string) {
			leave, err := l.enter(t.Context(), organization, "shared")
			if err == nil {
				order <- organization
				time.Sleep(time.Second)
				leave()
			}
		}
		var all sync.WaitGroup
		for range 9 {
			all.Go(func() { fetch("theirs") })
		}
		synctest.Wait()
		all.Go(func() { fetch("ours") })
		all.Wait()
		require.Equal(t, []string{"theirs", "ours"}, []string{<-order, <-order})
		require.Empty(t, l.named, "a line is there while somebody stands in it")
		require.Less(t, len(order), 5, "who waited too long left")
	})
}
