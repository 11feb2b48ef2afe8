// Package volatile says what the replicas of an IdP share beside the store, and
// may lose at any moment: counts, hints, signals and copies. The store is the
// truth. Losing everything here costs work, and restarts rate limits; it never
// admits what the store refuses.
//
// local keeps it in the process, redis shares it between processes and falls
// back to local. volatiletest is the suite that holds both to these comments.
// No method returns an error: a backend that cannot share answers for its own
// process, and says so in its metrics and its health.
//
// Replay markers are missing on purpose: one that is lost would let a token in
// twice, so the store refuses replays.
package volatile

import (
	"context"
	"time"
)

// Bounds of what is limited.
const (
	MaxLimit  = 1_000_000 // requests in a window
	MaxWindow = 24 * time.Hour
)

// Limiter counts requests per key in a sliding window.
type Limiter interface {
	// Take counts a request of the key, if fewer than limit were counted in the
	// window before it. A refused request is not counted. A limit of 0 or less
	// does not limit; one past MaxLimit is MaxLimit. A window is whole
	// milliseconds, at least one and at most MaxWindow; windows are
	// configuration, a handful in all. Counts of different windows are apart.
	//
	// A process never exceeds the limit, whatever becomes of the sharing. While
	// it works, all processes together do not either. Only a key that comes when
	// the process has no place left for it depends on the sharing: what was
	// counted there is lost with it, and the limit starts again, within what the
	// process admits to all such keys together. With a limit of up to 256
	// each place is free again exactly one window after it was taken; past that,
	// requests of the same 1/255 of a window are forgotten together: late by that
	// much, never early.
	//
	// Keys are not kept in clear outside the process.
	Take(ctx context.Context, key string, limit int, window time.Duration) Verdict
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

// Quota remembers that the store refused an agent for the month, so that the
// next refusals need no transaction. It never admits: what it does not know, or
// knows no more, the store decides.
type Quota interface {
	// Exceeded says whether the store has refused the agent, in the UTC month of
	// at, under this limit or a higher one. Counts only grow within a month, so
	// a lower limit is exceeded too, and one that was raised is asked anew. A
	// limit of 0 or less is none and never exceeded.
	Exceeded(ctx context.Context, agentID string, limit int, at time.Time) bool
	// Exceed remembers that the store refused the agent under the limit, in the
	// UTC month of at: for at most MaxVerdict and never past the month.
	Exceed(ctx context.Context, agentID string, limit int, at time.Time)
}

// MaxVerdict is how long a Quota is believed before the store is asked again: a
// store restored from a backup is heard within that time.
const MaxVerdict = time.Hour

// MonthEnd is the end of the UTC month of at.
func MonthEnd(at time.Time) time.Time {
	year, month, _ := at.UTC().Date()
	return time.Date(year, month+1, 1, 0, 0, 0, 0, time.UTC)
}

// Bus carries signals without content: something of the topic changed, look.
type Bus interface {
	// Publish signals the subscribers of the topic, in this process at once, in
	// the others soon if sharing works. A signal may be lost on its way to
	// another process: who waits for one looks on its own too, now and then.
	Publish(ctx context.Context, topic string)
	// Subscribe returns a channel of signals. They coalesce, and may be spurious:
	// after a connection was lost every subscriber gets one. stop releases it;
	// the channel is never closed.
	Subscribe(topic string) (changed <-chan struct{}, stop func())
}

// MaxTopic bounds the length of a topic, in bytes. A topic is a constant of the
// code: letters, digits, '.', '-', '_'.
const MaxTopic = 64

// Cache keeps small things that anybody can fetch or compute again.
type Cache interface {
	// Get returns what was last Set under the key, if it has neither expired nor
	// been deleted or dropped to make room. The caller owns the value.
	Get(ctx context.Context, key string) (value []byte, ok bool)
	// Set keeps a copy of the value. A value past MaxValue, or a ttl of 0 or
	// less, deletes the key; a ttl past MaxTTL is MaxTTL.
	Set(ctx context.Context, key string, value []byte, ttl time.Duration)
	// Delete forgets the key in this process, and in the others if sharing works:
	// if not, they may answer with it until it expires.
	Delete(ctx context.Context, key string)
}

// Bounds of a Cache.
const (
	MaxValue = 64 << 10 // bytes
	MaxTTL   = 24 * time.Hour
)
