// Package volatiletest is the suite that every backend of package volatile passes.
package volatiletest

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/sentryagent/agentidp/idp/internal/volatile"
)

// Replica is what one process has.
type Replica struct {
	volatile.Limiter
	volatile.Quota
	volatile.Bus
	volatile.Cache
}

type fact struct {
	name  string
	holds func(t *testing.T, first, last Replica)
}

// patience is how long a fact waits for what is soon to be.
const patience = time.Minute

// Run holds a backend to the contract. open makes the replicas of one fact:
// they share with each other, one at least, and know nothing yet. Times are the
// real ones.
func Run(t *testing.T, open func(t *testing.T) []Replica) {
	for _, group := range []struct {
		name  string
		facts []fact
	}{
		{"limiter", limiterFacts}, {"quota", quotaFacts}, {"bus", busFacts}, {"cache", cacheFacts},
	} {
		for _, f := range group.facts {
			t.Run(group.name+"/"+f.name, func(t *testing.T) {
				replicas := open(t)
				f.holds(t, replicas[0], replicas[len(replicas)-1])
			})
		}
	}
}

// topic is nobody else's.
func topic() string { return "test." + rand.Text() }
