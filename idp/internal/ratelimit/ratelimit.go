// Package ratelimit counts requests per key in a sliding window, exactly and in
// bounded memory, and words the verdict as response headers.
package ratelimit

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

const (
	shards     = 64
	defaultMax = 1 << 16   // keys
	maxLimit   = 1_000_000 // of Options.Limit; ten times that of Options.Overflow
)

// Options says what is limited. The zero value limits nothing.
type Options struct {
	Limit  int           // requests a key may make in any Window; 0 = no limit; at most a million
	Window time.Duration // default one minute; at most a day

	// MaxKeys bounds the keys remembered, default 65,536 (rounded down to a
	// multiple of 64, at least 64). Where every place is taken by a key seen
	// within the window, new keys share one overflow bucket that admits Overflow
	// requests a window between them: never unlimited, and the keys already
	// known keep their own count.
	MaxKeys  int
	Overflow int // default 10 × Limit

	Now func() time.Time // default time.Now
}

// Limiter is safe for concurrent use. A nil Limiter allows everything.
//
// A key's requests never exceed Limit in any Window, counted in milliseconds.
// With a Limit of up to 256 every request has its own mark in memory, so that
// its place is free again exactly one Window later. Past that, requests of the
// same 1/255 of a window share a mark and are forgotten with the last of them:
// late by that much, never early. A refused request is not counted. Memory is
// at most MaxKeys × (min(Limit, 257) × 16 bytes + about 200), and 175 bytes for
// a key with one request.
type Limiter struct {
	limit, overflowLimit int
	window               int64 // ms
	now                  func() time.Time
	start                time.Time // times are kept as ms since then
	seed                 maphash.Seed
	shard                [shards]shard

	overflowLock sync.Mutex
	overflow     bucket // guarded by overflowLock
	overflowed   atomic.Uint64
}

// Verdict is what one request gets. Durations count from the request.
type Verdict struct {
	Allowed    bool
	Limit      int           // 0: not limited, and the rest is zero
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
		opts.Overflow = 10 * min(opts.Limit, maxLimit)
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	l := &Limiter{
		limit: min(opts.Limit, maxLimit), overflowLimit: min(opts.Overflow, 10*maxLimit),
		window: max(1, opts.Window.Milliseconds()),
		now:    opts.Now, start: opts.Now(), seed: maphash.MakeSeed(),
	}
	for i := range l.shard {
		l.shard[i].init(max(1, opts.MaxKeys/shards))
	}
	return l
}

// Allow counts a request of the key, if it may go on. IPv6 addresses are folded
// to their /64 by the caller.
func (l *Limiter) Allow(key string) Verdict {
	if l == nil {
		return Verdict{Allowed: true}
	}
	now := l.now().Sub(l.start).Milliseconds()
	s := &l.shard[maphash.String(l.seed, key)%shards]
	s.Lock()
	if b := s.find(key, now, l.window); b != nil {
		defer s.Unlock()
		v := l.take(b, l.limit, now)
		if v.Allowed {
			s.freshest(b)
		}
		return v
	}
	s.Unlock()

	l.overflowed.Add(1)
	l.overflowLock.Lock()
	defer l.overflowLock.Unlock()
	return l.take(&l.overflow, l.overflowLimit, now)
}

// take counts one request in the bucket if fewer than limit are in the window.
// The caller holds the bucket's lock.
func (l *Limiter) take(b *bucket, limit int, now int64) Verdict {
	now = max(now, b.newest()) // a clock that steps back finds its place again
	b.expire(now - l.window)
	v := Verdict{Limit: limit, Window: milliseconds(l.window)}
	if b.used < limit {
		v.Allowed = true
		b.add(now, grain(limit, l.window))
	} else {
		v.RetryAfter = milliseconds(b.oldest() + l.window - now)
	}
	v.Remaining = limit - b.used
	v.Reset = milliseconds(b.newest() + l.window - now)
	return v
}

// Keys is how many keys are remembered, expired ones not yet swept included.
func (l *Limiter) Keys() int {
	if l == nil {
		return 0
	}
	n := 0
	for i := range l.shard {
		l.shard[i].Lock()
		n += len(l.shard[i].keys)
		l.shard[i].Unlock()
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

func milliseconds(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
