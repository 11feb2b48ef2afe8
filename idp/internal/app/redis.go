package app

import (
	"context"
	"crypto/x509"
	"fmt"
	"strings"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/volatile"
	"github.com/sentryagent/agentidp/idp/internal/volatile/local"
	"github.com/sentryagent/agentidp/idp/internal/volatile/redis"
	"github.com/sentryagent/agentidp/shared/config"
	"github.com/sentryagent/agentidp/shared/httpx"
)

// shared is what replicas share and may lose.
type shared interface {
	volatile.Limiter
	volatile.Quota
	volatile.Bus
	volatile.Cache
}

// redisProblems are those of the settings about Redis that need no connection.
func (c *Config) redisProblems() []config.Problem {
	if c.RedisCACert == "" {
		return nil
	}
	if !strings.HasPrefix(c.RedisURL, "rediss") {
		return []config.Problem{{Key: "redis_cacert", Text: "is of no use without a redis_url of rediss"}}
	}
	if _, err := httpx.Authorities(c.RedisCACert); err != nil {
		return []config.Problem{{Key: "redis_cacert", Text: "must be a PEM file of certificates: " + err.Error()}}
	}
	return nil
}

// share starts sharing with the other replicas if a Redis is configured, else
// the process is on its own. A Redis that does not answer yet is no reason not
// to start.
func (a *App) share(ctx context.Context, now idp.Clock) (err error) {
	if a.cfg.RedisURL == "" {
		a.shared = local.New(now)
		return nil
	}
	var authorities *x509.CertPool
	if a.cfg.RedisCACert != "" {
		if authorities, err = httpx.Authorities(a.cfg.RedisCACert); err != nil {
			return fmt.Errorf("redis_cacert: %w", err)
		}
	}
	a.redis, err = redis.Open(ctx, redis.Options{
		URL: a.cfg.RedisURL, Authorities: authorities, Key: a.sealer.Derive("redis v1"), Logger: a.logger, Metrics: a.metrics, Now: now,
	})
	a.shared = a.redis
	return err
}
