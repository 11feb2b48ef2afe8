//go:build leak

package batchsign

import (
	"math"
	mathrand "math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// The method of Reparaz, Balasch and Verbauwhede, "Dude, is my code constant time?"
// (DATE 2017): two classes of input in random order, and Welch's t of their times,
// of all and of those below a percentile of both together. From 4.5 on a difference
// is one, if it is there again. `make leak-test` runs it, CI does not: it takes a machine's time.
const (
	threshold = 4.5
	rounds    = 3
	pool      = 64 // inputs of each class
)

var percentiles = []float64{0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 1}

// trial is what is measured: set puts input i of a class where work finds it, by
// choose, so that what was read before is the same for both.
type trial struct {
	samples int
	set     func(class, i int)
	work    func()
}

// choose sets to to the input of a class, and reads that of the other too: pages and
// cache lines of one class's own would have a time of their own.
func choose[T any](to, first, second *T, class int) {
	words := func(x *T) []uint64 { return unsafe.Slice((*uint64)(unsafe.Pointer(x)), unsafe.Sizeof(*x)/8) }
	a, b, mask := words(first), words(second), -uint64(class)
	for i := range words(to) {
		words(to)[i] = a[i]&^mask | b[i]&mask
	}
}

// times measures once, class by class in random order.
func (x trial) times() (of [2][]float64) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	runtime.GC()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	for range x.samples {
		class := mathrand.IntN(2)
		x.set(class, mathrand.IntN(pool))
		begun := time.Now()
		x.work()
		of[class] = append(of[class], float64(time.Since(begun)))
	}
	return of
}

// welch is t of two samples of whole nanoseconds above the least of both. Those sums
// are exact: where a clock ticks so slowly that all times are the same, rounding would
// be all that differs.
func welch(a, b []float64) float64 {
	least := min(slices.Min(a), slices.Min(b))
	meanA, ofA := moments(a, least)
	meanB, ofB := moments(b, least)
	if ofA+ofB == 0 {
		return 1e9 * (meanA - meanB)
	}
	return (meanA - meanB) / math.Sqrt(ofA+ofB)
}

// moments are the mean above a number, and its squared error.
func moments(a []float64, above float64) (mean, squared float64) {
	var sum, squares float64
	for _, x := range a {
		sum += x - above
		squares += (x - above) * (x - above)
	}
	n := float64(len(a))
	return sum / n, max(0, squares-sum*sum/n) / (n - 1) / n
}

// difference is what a percentile of both classes together tells.
type difference struct {
	percentile, limit, t, nanoseconds float64
	samples                           [2]int
}

// largest is the difference whose t is farthest from zero, of all percentiles.
func largest(of [2][]float64) (d difference) {
	all := slices.Concat(of[0], of[1])
	slices.Sort(all)
	for _, p := range percentiles {
		limit := all[int(p*float64(len(all)-1))]
		var kept [2][]float64
		for class := range of {
			for _, x := range of[class] {
				if x <= limit {
					kept[class] = append(kept[class], x)
				}
			}
		}
		if len(kept[0]) < 100 || len(kept[1]) < 100 {
			continue
		}
		if t := welch(kept[0], kept[1]); math.Abs(t) >= math.Abs(d.t) {
			first, _ := moments(kept[0], limit)
			second, _ := moments(kept[1], limit)
			d = difference{p, limit, t, first - second, [2]int{len(kept[0]), len(kept[1])}}
		}
	}
	return d
}

// The statistic itself: what is the same for both is silent, however the clock ticks,
// and what is not is heard.
func TestLeakStatistic(t *testing.T) {
	var same, shifted, coarse [2][]float64
	for i := range 200_000 {
		same[i%2] = append(same[i%2], 1000+float64(mathrand.IntN(50)))
		shifted[i%2] = append(shifted[i%2], 1000+float64(mathrand.IntN(50)+i%2))
		coarse[i%2] = append(coarse[i%2], 291+30*float64(mathrand.IntN(20)/17))
	}
	require.Less(t, math.Abs(largest(same).t), threshold)
	require.Less(t, math.Abs(largest(coarse).t), threshold)
	require.Greater(t, math.Abs(largest(shifted).t), threshold)
	require.Greater(t, math.Abs(largest([2][]float64{slices.Repeat([]float64{291}, 500), slices.Repeat([]float64{292}, 500)}).t), threshold)
}

// requireSilent fails where the classes differ the same way in two rounds, as TVLA
// has it (Goodwill, Jun, Jaffe and Rohatgi, NIST workshop 2011): what is a leak is
// there again, and noise is not. One round that differs is told.
func requireSilent(t *testing.T, x trial) {
	t.Helper()
	slower, faster := 0, 0
	for range rounds {
		d := largest(x.times())
		t.Logf("t = %6.2f of %d: %+.3f ns in %v below %.0f ns", d.t, x.samples, d.nanoseconds, d.samples, d.limit)
		if d.t >= threshold {
			slower++
		}
		if d.t <= -threshold {
			faster++
		}
	}
	require.Less(t, slower, 2)
	require.Less(t, faster, 2)
}

// requireHeard is the control: what leaks is found to.
func requireHeard(t *testing.T, x trial) {
	t.Helper()
	d := largest(x.times())
	t.Logf("t = %6.2f of %d: %+.3f ns", d.t, x.samples, d.nanoseconds)
	require.Greater(t, math.Abs(d.t), threshold, "the method does not hear a leak")
}
