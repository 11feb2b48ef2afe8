package cache

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// counted is a cache that is closed with the test, and what it forgot.
func counted[V comparable](t testing.TB, bound, entries int64) (*Cache[V], *atomic.Int64) {
	t.Helper()
	forgotten := &atomic.Int64{}
	c, err := New[V](bound, entries, func() { forgotten.Add(1) })
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c, forgotten
}

func TestRemembers(t *testing.T) {
	c, forgotten := counted[string](t, 100, 100)
	_, found := c.Get(1)
	require.False(t, found)
	require.True(t, c.Set(1, "a", 1))
	require.True(t, c.Set(2, "b", 1))
	c.Wait()
	value, found := c.Get(1)
	require.True(t, found)
	require.Equal(t, "a", value)
	require.True(t, c.Set(1, "c", 99))
	value, _ = c.Get(1)
	require.Equal(t, "c", value, "in its own place: at once")
	c.Wait()
	require.Equal(t, 2, c.Len())
	require.Zero(t, forgotten.Load())

	require.True(t, c.Set(3, "dearer than everything", 101))
	c.Wait()
	_, found = c.Get(3)
	require.False(t, found)
	require.EqualValues(t, 1, forgotten.Load())
}

func TestBoundsAreRequired(t *testing.T) {
	for _, bound := range []int64{0, -1} {
		_, err := New[int](bound, bound, func() {})
		require.Error(t, err)
	}
}

// What is there never costs more than the bound, and each value is there, or was counted.
func TestBound(t *testing.T) {
	for _, bound := range []int64{1, 2, 16, 100, 1000} {
		c, forgotten := counted[int64](t, bound, bound)
		random := rand.New(rand.NewPCG(uint64(bound), 1))
		dropped := int64(0)
		const sets = 5000
		for hash := range uint64(sets) {
			cost := 1 + random.Int64N(3)
			c.Get(hash)
			if !c.Set(hash, cost, cost) {
				dropped++
			}
			if hash%50 == 0 {
				c.Wait()
				total := int64(0)
				c.inner.IterValues(func(cost int64) bool { total += cost; return false })
				require.LessOrEqual(t, total, bound)
			}
		}
		c.Wait()
		require.EqualValues(t, sets, int64(c.Len())+dropped+forgotten.Load(), bound)
		require.Positive(t, c.Len(), bound)
	}
}

// Of two that set a new hash at once one wins, and nothing was forgotten.
func TestTheSameTwiceAtOnceIsNotForgotten(t *testing.T) {
	behind := make(chan struct{})
	forgotten := 0
	c, err := New[int](1, 1, func() { forgotten++; <-behind })
	require.NoError(t, err)
	defer c.Close()
	for _, cost := range []int64{2, 1, 1} { // the first, too dear, keeps it from taking the others
		require.True(t, c.Set(uint64(cost), 1, cost))
	}
	close(behind)
	c.Wait()
	require.Equal(t, 1, c.Len())
	require.Equal(t, 1, forgotten)
}

func TestConcurrentUse(t *testing.T) {
	c, _ := counted[uint64](t, 200, 200)
	var group sync.WaitGroup
	for n := range uint64(4) {
		group.Go(func() {
			random := rand.New(rand.NewPCG(n, 5))
			for range 5000 {
				hash := 1 + random.Uint64()%1000
				if value, found := c.Get(hash); found && value != hash {
					t.Errorf("%d is %d", hash, value)
				}
				c.Set(hash, hash, 1)
			}
		})
	}
	group.Wait()
	c.Wait()
	require.LessOrEqual(t, c.Len(), 200)
}

// Set does not wait for a cache that is behind: it drops, and says so.
func TestSetNeverWaits(t *testing.T) {
	release := make(chan struct{})
	var once sync.Once
	c, err := New[int](1, 1, func() { <-release })
	require.NoError(t, err)
	defer c.Close()
	defer once.Do(func() { close(release) })
	done := make(chan bool)
	go func() {
		taken := true
		for hash := uint64(0); taken; hash++ {
			taken = c.Set(hash, 1, 2)
		}
		done <- taken
	}()
	select {
	case taken := <-done:
		require.False(t, taken)
	case <-time.After(time.Minute):
		require.Fail(t, "Set waits")
	}
	once.Do(func() { close(release) })
	c.Wait()
	require.Zero(t, c.Len())
}

// What was there at the end was not pushed out.
func TestCloseCountsNothing(t *testing.T) {
	c, forgotten := counted[int](t, 100, 100)
	for hash := range uint64(50) {
		c.Set(hash, 1, 1)
	}
	c.Wait()
	require.Equal(t, 50, c.Len())
	c.Close()
	require.Zero(t, forgotten.Load())
	c.Close() // a second time is nothing
	_, found := c.Get(1)
	require.False(t, found)
	require.False(t, c.Set(1, 1, 1))
}

func BenchmarkGet(b *testing.B) {
	c, _ := counted[*int](b, 10_000, 10_000)
	value := new(int)
	for hash := range uint64(1000) {
		c.Set(hash, value, 1)
	}
	c.Wait()
	b.ReportAllocs()
	hash := uint64(0)
	for b.Loop() {
		if _, found := c.Get(hash % 1000); !found {
			b.Fatal("forgotten")
		}
		hash++
	}
}

func BenchmarkSet(b *testing.B) {
	c, _ := counted[*int](b, 10_000, 10_000)
	random := rand.New(rand.NewPCG(6, 7))
	value := new(int)
	b.ReportAllocs()
	for b.Loop() {
		c.Set(random.Uint64(), value, 1)
	}
}
