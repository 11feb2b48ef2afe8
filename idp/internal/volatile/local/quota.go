package local

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/sentryagent/agentidp/idp/internal/volatile"
)

const (
	quotaBytes = 8 << 20 // about 30,000 agents
	// UnknownFor is how long it is remembered that nobody knew: others are not
	// asked about the same agent more often.
	UnknownFor = 10 * time.Second
)

// Quota is a volatile.Quota of this process.
type Quota struct{ verdicts *Cache }

// NewQuota makes one that knows nothing; now defaults to time.Now.
func NewQuota(now func() time.Time) *Quota { return &Quota{NewCache(quotaBytes, now)} }

// Exceeded implements volatile.Quota.
func (q *Quota) Exceeded(ctx context.Context, agentID string, limit int, at time.Time) bool {
	refused, _ := q.Refused(ctx, QuotaKey(agentID, at))
	return limit > 0 && limit <= refused
}

// Exceed implements volatile.Quota.
func (q *Quota) Exceed(ctx context.Context, agentID string, limit int, at time.Time) {
	if limit > 0 {
		q.Learn(ctx, QuotaKey(agentID, at), limit, QuotaTTL(at))
	}
}

// Refused is the limit under which the store refused; 0 if it is known that
// nobody knew of a refusal a moment ago.
func (q *Quota) Refused(ctx context.Context, key string) (limit int, known bool) {
	value, known := q.verdicts.Get(ctx, key)
	if !known {
		return 0, false
	}
	return int(binary.BigEndian.Uint64(value)), true
}

// Learn remembers a refusal under the limit; 0: that nobody knows of one.
func (q *Quota) Learn(ctx context.Context, key string, limit int, ttl time.Duration) {
	if limit <= 0 {
		limit, ttl = 0, min(ttl, UnknownFor)
	}
	q.verdicts.Set(ctx, key, binary.BigEndian.AppendUint64(nil, uint64(limit)), ttl)
}

// QuotaKey names an agent's month.
func QuotaKey(agentID string, at time.Time) string { return at.UTC().Format("2006-01 ") + agentID }

// QuotaTTL is how long a refusal at the time is believed.
func QuotaTTL(at time.Time) time.Duration {
	return min(volatile.MaxVerdict, volatile.MonthEnd(at).Sub(at))
}
