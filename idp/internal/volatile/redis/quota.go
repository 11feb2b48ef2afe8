package redis

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/sentryagent/agentidp/idp/internal/volatile/local"
)

// Exceeded implements volatile.Quota. Redis is asked about an agent that this
// process knows nothing of, at most every ten seconds.
func (c *Client) Exceeded(ctx context.Context, agentID string, limit int, at time.Time) bool {
	if limit <= 0 {
		return false
	}
	key := local.QuotaKey(agentID, at)
	if refused, known := c.near.Refused(ctx, key); known {
		return limit <= refused
	}
	value, ttl, err := c.read(ctx, opQuotaGet, c.names.name("quota", key))
	if err != nil {
		return false // not remembered: ask again when Redis answers
	}
	refused := 0
	if ttl > 0 && len(value) == 8 {
		refused = int(binary.BigEndian.Uint64(value))
	}
	c.near.Learn(ctx, key, refused, min(local.QuotaTTL(at), max(ttl, local.UnknownFor)))
	return limit <= refused
}

// Exceed implements volatile.Quota.
func (c *Client) Exceed(ctx context.Context, agentID string, limit int, at time.Time) {
	if limit <= 0 {
		return
	}
	key := local.QuotaKey(agentID, at)
	c.near.Learn(ctx, key, limit, local.QuotaTTL(at))
	c.write(ctx, opQuotaSet, c.names.name("quota", key), binary.BigEndian.AppendUint64(nil, uint64(limit)), local.QuotaTTL(at))
}
