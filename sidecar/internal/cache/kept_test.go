//go:build !race

package cache

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// Under the race detector sync.Pool drops items at random, so ristretto counts no
// lookup there, and pushes out anything.

// A flood of values that nobody asks for again does not push out those in use.
func TestWhatIsUsedStays(t *testing.T) {
	const bound, used = 1600, 400
	c, forgotten := counted[int](t, bound, bound)
	random := rand.New(rand.NewPCG(3, 4))
	hashes := make([]uint64, used)
	for i := range hashes {
		hashes[i] = random.Uint64()
	}
	missed := 0
	for n := range 50_000 {
		flood := random.Uint64()
		c.Get(flood)
		c.Set(flood, -1, 1)
		i := random.IntN(used)
		if value, found := c.Get(hashes[i]); !found {
			missed++
			c.Set(hashes[i], i+1, 1)
		} else {
			require.Equal(t, i+1, value)
		}
		if n%100 == 0 {
			c.Wait()
		}
	}
	t.Logf("%d missed", missed)
	require.Less(t, missed, 50_000/5)
	require.Greater(t, forgotten.Load(), int64(40_000))
}

// What is over is not taken away; what is new gets in all the same, however much
// the old was asked for: the next hour's tokens in place of those of this.
func TestWhatIsNewGetsIn(t *testing.T) {
	const entries = 1000
	c, _ := counted[int](t, entries, entries)
	random := rand.New(rand.NewPCG(5, 6))
	for hour := range 3 {
		hashes := make([]uint64, entries)
		for i := range hashes {
			hashes[i] = random.Uint64()
		}
		missed := 0
		const asked = 40
		for range asked {
			for i, hash := range hashes {
				if _, found := c.Get(hash); !found {
					missed++
					c.Set(hash, hour+1, 1)
				}
				if i%16 == 0 {
					c.Wait()
				}
			}
		}
		t.Logf("hour %d: %d of %d missed", hour, missed, asked*entries)
		require.Less(t, missed, asked*entries/2)
	}
}
