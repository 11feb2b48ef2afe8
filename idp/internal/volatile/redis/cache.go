package redis

import (
	"context"
	"time"

	"github.com/sentryagent/agentidp/idp/internal/volatile"
)

// Get implements volatile.Cache.
func (c *Client) Get(ctx context.Context, key string) ([]byte, bool) {
	value, ttl, err := c.read(ctx, opCacheGet, c.names.name("cache", key))
	if err != nil {
		return c.near.Get(ctx, key)
	}
	return value, ttl > 0
}

// Set implements volatile.Cache.
func (c *Client) Set(ctx context.Context, key string, value []byte, ttl time.Duration) {
	if ttl <= 0 || len(value) > volatile.MaxValue {
		c.Delete(ctx, key)
		return
	}
	c.near.Set(ctx, key, value, ttl)
	c.write(ctx, opCacheSet, c.names.name("cache", key), value, min(ttl, volatile.MaxTTL))
}

// Delete implements volatile.Cache.
func (c *Client) Delete(ctx context.Context, key string) {
	c.near.Delete(ctx, key)
	_ = c.ask(ctx, opCacheDelete, func(ctx context.Context) error { // counted there
		return c.rdb.Del(ctx, c.names.name("cache", key)).Err()
	})
}

// read gets a sealed value and how long it is good; ttl 0 if there is none. No
// more is read than a value can have.
func (c *Client) read(ctx context.Context, op op, name string) (value []byte, ttl time.Duration, err error) {
	err = c.ask(ctx, op, func(ctx context.Context) error {
		sealed, err := c.rdb.GetRange(ctx, name, 0, sealSize+volatile.MaxValue).Bytes()
		if err != nil || len(sealed) == 0 {
			return err
		}
		value, ttl, err = c.names.unseal(name, sealed, c.now())
		return err
	})
	return value, ttl, err
}

func (c *Client) write(ctx context.Context, op op, name string, value []byte, ttl time.Duration) {
	_ = c.ask(ctx, op, func(ctx context.Context) error { // counted there
		return c.rdb.Set(ctx, name, c.names.seal(name, value, c.now().Add(ttl)), ttl).Err()
	})
}
