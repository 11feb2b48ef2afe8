package proxy

import (
	"net/netip"
	"sync"
)

// streams counts the requests over HTTP/2 under way: of all connections, and of
// each client, as the listener counts connections.
type streams struct {
	most, each int

	mu   sync.Mutex
	open int                  // guarded by mu
	from map[netip.Prefix]int // guarded by mu; of open, by the client's network
}

// enter takes a place; false when there is none. bounded: the client has its own bound.
func (s *streams) enter(client netip.Addr, bounded bool) bool {
	from := prefixOf(client)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open >= s.most || bounded && s.from[from] >= s.each {
		return false
	}
	s.open++
	if bounded {
		s.from[from]++
	}
	return true
}

// leave gives the place back.
func (s *streams) leave(client netip.Addr, bounded bool) {
	from := prefixOf(client)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open--
	if !bounded {
		return
	}
	if s.from[from]--; s.from[from] <= 0 {
		delete(s.from, from)
	}
}

func (s *streams) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open
}
