package app

import (
	"context"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/volatile"
	"github.com/sentryagent/agentidp/idp/internal/volatile/local"
	"github.com/sentryagent/agentidp/idp/internal/volatile/redis"
)

// shared is what replicas share and may lose.
type shared interface {
	volatile.Limiter
	volatile.Quota
	volatile.Bus
	volatile.Cache
}

// share starts sharing with the other replicas if a Redis is configured, else
// the process is on its own. A Redis that does not answer yet is no reason not
// to start.
func (a *App) share(ctx context.Context, now idp.Clock) (err error) {
	if a.cfg.RedisURL == "" {
		a.shared = local.New(now)
		return nil
	}
	a.redis, err = redis.Open(ctx, redis.Options{
		URL: a.cfg.RedisURL, Key: a.sealer.Derive("redis v1"), Logger: a.logger, Metrics: a.metrics, Now: now,
	})
	a.shared = a.redis
	return err
}
