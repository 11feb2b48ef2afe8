// Package alloctest asserts that a path allocates nothing.
package alloctest

import (
	"math"
	"testing"
)

// Zero fails unless f allocates nothing when it runs again and again. Whatever
// other goroutines of the process allocate meanwhile is counted with it
// (testing.AllocsPerRun), so one clean try of many is enough: what f itself
// allocates is in every one. Not for parallel tests. about says what f is.
func Zero(t testing.TB, f func(), about ...string) {
	t.Helper()
	least := math.Inf(1)
	for range 20 {
		if least = min(least, testing.AllocsPerRun(1000, f)); least == 0 {
			return
		}
	}
	t.Fatalf("allocates %v times at best: %v", least, about)
}
