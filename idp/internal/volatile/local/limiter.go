package local

import (
	"context"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sentryagent/agentidp/idp/internal/volatile"
)

const (
	shards     = 64
	defaultMax = 1 << 16 // keys of a window
	maxWindows = 16
)

// LimiterOptions bound a Limiter; the zero value works.
type LimiterOptions struct {
	// MaxKeys bounds the keys remembered for each window, default 65,536 (rounded
	// down to a multiple of 64, at least 64). Where every place is taken by a key
	// seen within the window, new keys share 64 overflow buckets by their hash,
	// each of which admits the limit: no key ever exceeds its limit, all of them
	// together 64 times that, and the keys already known keep their own count.
	MaxKeys int
	Now     func() time.Time // default time.Now
}

// Limiter is a volatile.Limiter of this process. Memory is at most, for each
// window, MaxKeys × (min(limit, 257) × 16 bytes + about 200), and 175 bytes for
// a key with one request. A seventeenth window is refused.
type Limiter struct {
	maxKeys    int // of a shard
	now        func() time.Time
	start      time.Time // times are kept as ms since then
	seed       maphash.Seed
	overflowed atomic.Uint64

	grow    sync.Mutex                       // held while a window is added
	windows atomic.Pointer[map[int64]*table] // by window in ms; replaced, never changed
}

// table is the keys of one window.
type table struct {
	window int64 // ms
	shard  [shards]shard
}

// NewLimiter makes a limiter without any count.
func NewLimiter(o LimiterOptions) *Limiter {
	if o.MaxKeys <= 0 {
		o.MaxKeys = defaultMax
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	l := &Limiter{maxKeys: max(1, o.MaxKeys/shards), now: o.Now, start: o.Now(), seed: maphash.MakeSeed()}
	l.windows.Store(&map[int64]*table{})
	return l
}

// Take implements volatile.Limiter.
func (l *Limiter) Take(_ context.Context, key string, limit int, window time.Duration) volatile.Verdict {
	v, place := l.Reserve(key, limit, window)
	if place.full == nil {
		return v
	}
	l.overflowed.Add(1)
	place.full.Lock()
	defer place.full.Unlock()
	return place.full.overflow.take(v.Limit, v.Window.Milliseconds(), l.elapsed())
}

// Place is what a request took, until it is known whether it may go on.
type Place struct {
	shard *shard // nil: the key has no place
	full  *shard // where there was none for it; nil: it has one, or needs none
	key   string
	at    int64
	grain int64
}

// Known says that the key had a place, and the verdict counts.
func (p *Place) Known() bool { return p.shard != nil }

// Reserve is Take for one who asks elsewhere too. Where every place is taken
// the key is not Known and the verdict allows nothing yet.
func (l *Limiter) Reserve(key string, limit int, window time.Duration) (volatile.Verdict, Place) {
	if limit <= 0 {
		return volatile.Verdict{Allowed: true}, Place{}
	}
	limit = min(limit, volatile.MaxLimit)
	ms := min(max(1, window.Milliseconds()), volatile.MaxWindow.Milliseconds())
	t := l.table(ms)
	if t == nil {
		return volatile.Verdict{Limit: limit, Window: milliseconds(ms), Reset: milliseconds(ms), RetryAfter: milliseconds(ms)}, Place{}
	}
	now := l.elapsed()
	s := &t.shard[maphash.String(l.seed, key)%shards]
	s.Lock()
	defer s.Unlock()
	b := s.find(key, now, ms)
	if b == nil {
		return volatile.Verdict{Limit: limit, Window: milliseconds(ms)}, Place{full: s}
	}
	v := b.take(limit, ms, now)
	if v.Allowed {
		s.freshest(b)
	}
	return v, Place{shard: s, key: key, at: b.newest(), grain: grain(limit, ms)}
}

// Cancel gives back the place of a request that was allowed here and refused
// elsewhere.
func (p *Place) Cancel() {
	if p.shard == nil {
		return
	}
	p.shard.Lock()
	defer p.shard.Unlock()
	if b := p.shard.keys[p.key]; b != nil {
		b.untake(p.at, p.grain)
	}
}

// table finds the window's keys; nil if there are too many windows.
func (l *Limiter) table(window int64) *table {
	if t := (*l.windows.Load())[window]; t != nil {
		return t
	}
	l.grow.Lock()
	defer l.grow.Unlock()
	known := *l.windows.Load()
	if t := known[window]; t != nil {
		return t
	}
	if len(known) >= maxWindows {
		return nil
	}
	t := &table{window: window}
	for i := range t.shard {
		t.shard[i].init(l.maxKeys)
	}
	grown := map[int64]*table{window: t}
	for w, t := range known {
		grown[w] = t
	}
	l.windows.Store(&grown)
	return t
}

func (l *Limiter) elapsed() int64 { return l.now().Sub(l.start).Milliseconds() }

// Keys is how many keys are remembered, expired ones not yet swept included.
func (l *Limiter) Keys() int {
	n := 0
	for _, t := range *l.windows.Load() {
		for i := range t.shard {
			t.shard[i].Lock()
			n += len(t.shard[i].keys)
			t.shard[i].Unlock()
		}
	}
	return n
}

// Overflowed counts the requests that fell into an overflow bucket.
func (l *Limiter) Overflowed() uint64 { return l.overflowed.Load() }

func milliseconds(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
