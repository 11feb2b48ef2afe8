package authn

import (
	"strings"
	"sync"
)

// mostScopes bounds the scopes that are kept; past it the keeping begins anew.
const mostScopes = 1_024

// scopes keep the members of each scope once: many tokens have the same.
type scopes struct {
	mu    sync.Mutex
	known map[string][]string // guarded by mu
}

// members of a scope: read only.
func (s *scopes) members(scope string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil || len(s.known) >= mostScopes {
		s.known = map[string][]string{}
	}
	members, known := s.known[scope]
	if !known {
		members = strings.Fields(scope)
		s.known[scope] = members
	}
	return members
}
