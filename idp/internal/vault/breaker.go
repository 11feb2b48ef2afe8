package vault

import (
	"sync"
	"time"

	"github.com/sentryagent/agentidp/idp"
)

const (
	breakAfter = 5           // failures in a row
	breakFor   = time.Second // then one request is tried
)

// breaker keeps requests from waiting for a Vault that does not answer: after
// breakAfter failures in a row it refuses all, and lets one through every
// breakFor to see whether Vault is back.
type breaker struct {
	now idp.Clock

	mu       sync.Mutex
	failures int       // in a row
	tryAt    time.Time // when one may try again
	probing  bool      // one is trying
}

// allow reports whether a request may go out. After true the caller must tell the outcome.
func (b *breaker) allow() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failures < breakAfter {
		return true
	}
	if b.probing || b.now().Before(b.tryAt) {
		return false
	}
	b.probing = true
	return true
}

// open reports whether requests are refused.
func (b *breaker) open() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failures >= breakAfter
}

// answered says that Vault answered, whatever it said; true when it had not before.
func (b *breaker) answered() (recovered bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	recovered = b.failures >= breakAfter
	b.failures, b.probing = 0, false
	return recovered
}

// failed says that Vault did not answer; true when that opened the breaker.
func (b *breaker) failed() (opened bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failures++
	b.probing = false
	b.tryAt = b.now().Add(breakFor)
	return b.failures == breakAfter
}

// unknown says that the caller left before Vault could answer.
func (b *breaker) unknown() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.probing = false
}
