package local

import (
	"sync"

	"github.com/sentryagent/agentidp/idp/internal/volatile"
)

// maxMarks is how many marks a bucket keeps before requests share them.
const maxMarks = 256

// mark is when requests were made, packed: 40 bits of ms since the limiter's
// start (34 years), 24 bits of count. The time is that of the last of them.
type mark uint64

const countBits = 24

func (m mark) at() int64  { return int64(m >> countBits) }
func (m mark) count() int { return int(m & (1<<countBits - 1)) }

// grain is how many ms share a mark: one mark a request up to maxMarks requests
// a window, else 1/255 of the window.
func grain(limit int, window int64) int64 {
	if limit <= maxMarks {
		return 0
	}
	return window/(maxMarks-1) + 1
}

// bucket is the requests of one key in the window. Its shard's lock guards it.
type bucket struct {
	key            string
	marks          []mark // oldest first; live from index first on
	first          int
	used           int // requests in the live marks
	next, previous *bucket
}

// oldest and newest are the times of the outermost live marks; 0 if there is none.
func (b *bucket) oldest() int64 {
	if b.first == len(b.marks) {
		return 0
	}
	return b.marks[b.first].at()
}

func (b *bucket) newest() int64 {
	if b.first == len(b.marks) {
		return 0
	}
	return b.marks[len(b.marks)-1].at()
}

// expire forgets the requests made at or before the time.
func (b *bucket) expire(until int64) {
	for b.first < len(b.marks) && b.marks[b.first].at() <= until {
		b.used -= b.marks[b.first].count()
		b.first++
	}
	if b.first == len(b.marks) {
		b.marks, b.first = b.marks[:0], 0
	}
}

// add counts a request now, in the newest mark if that is of the same grain.
func (b *bucket) add(now, grain int64) {
	b.used++
	if last := len(b.marks) - 1; grain > 0 && last >= b.first && b.marks[last].at()/grain == now/grain {
		b.marks[last] = mark(now)<<countBits | mark(b.marks[last].count()+1)
		return
	}
	if len(b.marks) == cap(b.marks) && b.first > len(b.marks)/8 {
		b.marks = b.marks[:copy(b.marks, b.marks[b.first:])]
		b.first = 0
	}
	b.marks = append(b.marks, mark(now)<<countBits|1)
}

// take counts one request at the time, unless limit are in the window. The
// caller holds the lock.
func (b *bucket) take(limit int, window, now int64) volatile.Verdict {
	now = max(now, b.newest()) // a clock that steps back finds its place again
	b.expire(now - window)
	v := volatile.Verdict{Limit: limit, Window: milliseconds(window)}
	if b.used < limit {
		v.Allowed = true
		b.add(now, grain(limit, window))
	} else {
		v.RetryAfter = milliseconds(b.oldest() + window - now)
	}
	v.Remaining = max(0, limit-b.used)
	v.Reset = milliseconds(b.newest() + window - now)
	return v
}

// untake takes back a request that was counted at the time, in marks of the
// grain, unless it is forgotten already.
func (b *bucket) untake(at, grain int64) {
	for i := len(b.marks) - 1; i >= b.first && b.marks[i].at() >= at; i-- {
		if found := b.marks[i].at(); found != at && (grain == 0 || found/grain != at/grain) {
			continue
		}
		b.used--
		if b.marks[i]--; b.marks[i].count() == 0 {
			b.marks = append(b.marks[:i], b.marks[i+1:]...)
		}
		return
	}
}

// shard holds the keys of one hash value, under one lock.
type shard struct {
	sync.Mutex
	keys map[string]*bucket
	ring bucket // ring.next made its last counted request before all others, ring.previous after
	max  int

	overflow bucket // of the keys without a place
}

func (s *shard) init(max int) {
	s.keys, s.max = map[string]*bucket{}, max
	s.ring.next, s.ring.previous = &s.ring, &s.ring
}

// find gives the key's bucket, a new one if need be, nil if every place is
// taken by a key with live requests. Each new key sweeps up to two expired
// ones, so that memory follows the traffic down as well.
func (s *shard) find(key string, now, window int64) *bucket {
	if b, known := s.keys[key]; known {
		return b
	}
	for range 2 {
		stalest := s.ring.next
		if stalest == &s.ring || stalest.newest() > now-window {
			break
		}
		stalest.unlink()
		delete(s.keys, stalest.key)
	}
	if len(s.keys) >= s.max {
		return nil
	}
	b := &bucket{key: key}
	s.keys[key] = b
	s.link(b)
	return b
}

// freshest moves the bucket to the end that is swept last.
func (s *shard) freshest(b *bucket) {
	b.unlink()
	s.link(b)
}

func (s *shard) link(b *bucket) {
	b.previous, b.next = s.ring.previous, &s.ring
	b.previous.next, s.ring.previous = b, b
}

func (b *bucket) unlink() {
	b.previous.next, b.next.previous = b.next, b.previous
}
