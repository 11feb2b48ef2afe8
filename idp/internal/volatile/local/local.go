// Package local keeps in the process what replicas would share: for the single
// process, and for a replica whose Redis is away. Memory is bounded.
package local

import "time"

// Process is everything of package volatile, for one process.
type Process struct {
	*Limiter
	*Quota
	*Bus
	*Cache
}

// New makes an empty Process; now defaults to time.Now.
func New(now func() time.Time) *Process {
	return &Process{
		Limiter: NewLimiter(LimiterOptions{Now: now}),
		Quota:   NewQuota(now),
		Bus:     NewBus(),
		Cache:   NewCache(defaultBytes, now),
	}
}
