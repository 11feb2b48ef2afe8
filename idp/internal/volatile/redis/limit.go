package redis

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sentryagent/agentidp/idp/internal/volatile"
)

// Take implements volatile.Limiter. The request is counted in this process
// first and in Redis then: both must have room. So a process keeps its limit
// through every loss of Redis, and a client past it costs Redis nothing.
func (c *Client) Take(ctx context.Context, key string, limit int, window time.Duration) volatile.Verdict {
	v, place := c.near.Reserve(key, limit, window)
	if v.Limit == 0 || (place.Known() && !v.Allowed) || v.RetryAfter > 0 {
		return v
	}
	var shared volatile.Verdict
	err := c.ask(ctx, opLimit, func(ctx context.Context) (err error) {
		shared, err = c.take(ctx, c.names.name("limit", windowName(v.Window), key), v.Limit, v.Window)
		return err
	})
	switch {
	case err != nil && place.Known():
		return v
	case err != nil:
		return c.near.Take(ctx, key, limit, window)
	case !place.Known():
		return shared
	case !shared.Allowed:
		place.Cancel()
	}
	shared.Remaining, shared.Reset = min(shared.Remaining, v.Remaining), max(shared.Reset, v.Reset)
	return shared
}

func windowName(window time.Duration) string { return fmt.Sprint(window.Milliseconds()) }

// take runs the script.
func (c *Client) take(ctx context.Context, name string, limit int, window time.Duration) (volatile.Verdict, error) {
	reply, err := takeScript.Run(ctx, c.rdb, []string{name}, limit, window.Milliseconds()).Result()
	if errors.Is(err, redis.Nil) {
		err = errReply
	}
	if err != nil {
		return volatile.Verdict{}, err
	}
	return decodeVerdict(reply, limit, window)
}

var errReply = errors.New("not the reply of the script")

// decodeVerdict reads {allowed, remaining, reset, retry} and believes nothing
// that the script cannot say.
func decodeVerdict(reply any, limit int, window time.Duration) (volatile.Verdict, error) {
	list, ok := reply.([]any)
	if !ok || len(list) != 4 {
		return volatile.Verdict{}, errReply
	}
	var n [4]int64
	for i := range n {
		if n[i], ok = list[i].(int64); !ok {
			return volatile.Verdict{}, errReply
		}
	}
	allowed, remaining, reset, retry := n[0], n[1], n[2], n[3]
	ms := window.Milliseconds()
	switch {
	case allowed == 1 && remaining >= 0 && remaining < int64(limit) && reset == ms && retry == 0:
	case allowed == 0 && remaining == 0 && reset >= retry && reset <= ms && retry > 0:
	default:
		return volatile.Verdict{}, errReply
	}
	return volatile.Verdict{
		Allowed: allowed == 1, Limit: limit, Window: window, Remaining: int(remaining),
		Reset: time.Duration(reset) * time.Millisecond, RetryAfter: time.Duration(retry) * time.Millisecond,
	}, nil
}
