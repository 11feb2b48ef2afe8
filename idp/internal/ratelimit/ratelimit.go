// Package ratelimit counts requests per key in a sliding window, exactly and in
// bounded memory.
package ratelimit

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

const (
	shards     = 64
	maxMarks   = 256     // marks kept per key; more requests than this share marks
	defaultMax = 1 << 16 // keys
)

// Options says what is limited. The zero value limits nothing.
type Options struct {
	Limit  int           // requests a key may make in any Window; 0 = no limit
	Window time.Duration // default one minute; at most a day

	// MaxKeys bounds the keys remembered, default 65,536. When every place is
	// taken by a key seen within the window, new keys share one overflow bucket
	// that admits Overflow requests a window between them: never unlimited, and
	// keys already known keep their own count.
	MaxKeys  int
	Overflow int // default 10 × Limit

	Now func() time.Time // default time.Now
}

// Limiter is safe for concurrent use. A nil Limiter allows everything.
//
// A key's requests never exceed Limit in any Window, counted in milliseconds.
// Up to 256 requests a window each has its own mark in memory (8 bytes), so
// that a place is free again exactly one Window after it was taken. Past that,
// requests of the same 1/256 of a window share a mark and are forgotten with
// the last of them: late by that much, never early. Memory is at most
// MaxKeys × (min(Limit, 256) × 8 bytes + about 200).
type Limiter struct {
	limit    int
	window   uint32 // ms
	grain    uint32 // ms between the first and last request of one mark; 0 up to maxMarks
	now      func() time.Time
	start    time.Time // times are kept as ms since then
	seed     maphash.Seed
	shard    [shards]shard
	overflow struct {
		sync.Mutex
		bucket
		limit int
	}
	overflowed atomic.Uint64
}

// shard holds the keys of one hash value. The list runs from the stalest key
// to the one seen last.
type shard struct {
	mu   sync.Mutex
	keys map[string]*bucket
	list bucket // sentinel: next is the stalest
	max  int
}

// Verdict is what one request gets. Durations count from the request.
type Verdict struct {
	Allowed    bool
	Limit      int           // 0: not limited, the rest is zero
	Window     time.Duration // over which Limit counts
	Remaining  int           // requests left now
	Reset      time.Duration // until the whole Limit is free again
	RetryAfter time.Duration // until one request is free; 0 if Allowed
}

// New makes a limiter; nil if opts limits nothing.
func New(opts Options) *Limiter {
	if opts.Limit <= 0 {
		return nil
	}
	if opts.Window <= 0 || opts.Window > 24*time.Hour {
		opts.Window = time.Minute
	}
	if opts.MaxKeys <= 0 {
		opts.MaxKeys = defaultMax
	}
	if opts.Overflow <= 0 {
		opts.Overflow = 10 * opts.Limit
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	l := &Limiter{
		limit: opts.Limit, window: uint32(max(1, opts.Window.Milliseconds())),
		now: opts.Now, start: opts.Now(), seed: maphash.MakeSeed(),
	}
	l.grain = grain(l.limit, l.window)
	l.overflow.limit = opts.Overflow
	for i := range l.shard {
		s := &l.shard[i]
		s.keys, s.max = map[string]*bucket{}, max(1, opts.MaxKeys/shards)
		s.list.next, s.list.previous = &s.list, &s.list
	}
	return l
}

// grain is how long one mark collects requests. With more than maxMarks
// requests a window it is a little over 1/maxMarks, so that marks stay bounded.
func grain(limit int, window uint32) uint32 {
	if limit <= maxMarks {
		return 0
	}
	return window/(maxMarks-1) + 1
}

// Allow counts a request of the key and says whether it may go on. A refused
// request is not counted.
func (l *Limiter) Allow(key string) Verdict {
	if l == nil {
		return Verdict{Allowed: true}
	}
	now := l.clock()
	s := &l.shard[maphash.String(l.seed, key)%shards]
	s.mu.Lock()
	if b := s.find(key, now, l.window); b != nil {
		defer s.mu.Unlock()
		return l.take(b, l.limit, l.grain, now)
	}
	s.mu.Unlock()

	l.overflowed.Add(1)
	l.overflow.Lock()
	defer l.overflow.Unlock()
	return l.take(&l.overflow.bucket, l.overflow.limit, grain(l.overflow.limit, l.window), now)
}

// clock is now in ms since start; a clock that steps back below start reads 0.
func (l *Limiter) clock() int64 { return max(0, l.now().Sub(l.start).Milliseconds()) }

// Keys is how many keys are remembered, expired ones not yet swept included.
func (l *Limiter) Keys() int {
	if l == nil {
		return 0
	}
	n := 0
	for i := range l.shard {
		s := &l.shard[i]
		s.mu.Lock()
		n += len(s.keys)
		s.mu.Unlock()
	}
	return n
}

// Overflowed counts the requests that fell into the overflow bucket.
func (l *Limiter) Overflowed() uint64 {
	if l == nil {
		return 0
	}
	return l.overflowed.Load()
}

// take counts one request in the bucket if fewer than limit are in the window.
// The caller holds the bucket's lock.
func (l *Limiter) take(b *bucket, limit int, grain uint32, now int64) Verdict {
	v := Verdict{Limit: limit, Window: ms(int64(l.window))}
	now = max(now, b.seen) // a clock that steps back must not revive or outlive marks
	b.expire(now, int64(l.window))
	if b.used < limit {
		v.Allowed = true
		b.mark(now, int64(grain))
	} else {
		v.RetryAfter = ms(b.marks[b.first].at + int64(l.window) - now)
	}
	v.Remaining = limit - b.used
	v.Reset = ms(b.seen + int64(l.window) - now)
	return v
}

func ms(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
