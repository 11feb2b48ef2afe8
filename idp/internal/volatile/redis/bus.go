package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sentryagent/agentidp/idp/internal/volatile"
)

const (
	channel     = "agentidp:{bus}"
	quiet       = time.Second // without a message the connection is tried
	reconnectIn = 250 * time.Millisecond
)

// Publish implements volatile.Bus.
func (c *Client) Publish(ctx context.Context, topic string) {
	c.near.Publish(ctx, topic)
	_ = c.ask(ctx, opPublish, func(ctx context.Context) error { // counted there
		return c.rdb.Publish(ctx, channel, encodeSignal(c.sender, topic)).Err()
	})
}

// Subscribe implements volatile.Bus.
func (c *Client) Subscribe(topic string) (<-chan struct{}, func()) { return c.near.Subscribe(topic) }

// listen signals what other processes publish, until ctx ends. One connection
// hears every topic.
func (c *Client) listen(ctx context.Context) {
	for ctx.Err() == nil {
		if err := c.hear(ctx); err != nil && ctx.Err() == nil {
			c.errors[opSubscribe].Inc()
			c.logger.Debug("redis: signals of other replicas are not heard", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(reconnectIn):
		}
	}
}

// hear subscribes and signals until the connection fails.
func (c *Client) hear(ctx context.Context) error {
	pubsub := c.rdb.Subscribe(ctx)
	closing := func() { _ = pubsub.Close() } // it only lets go; what failed is known
	defer closing()
	defer context.AfterFunc(ctx, closing)()
	connect, cancel := context.WithTimeout(ctx, probeBudget)
	defer cancel()
	if err := pubsub.Subscribe(connect, channel); err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	for pinged := false; ; {
		message, err := receive(ctx, pubsub)
		var timeout interface{ Timeout() bool }
		switch {
		case err == nil:
			pinged = false
		case errors.As(err, &timeout) && timeout.Timeout() && !pinged:
			pinged = true
			err = pubsub.Ping(ctx)
		}
		if err != nil {
			return err
		}
		switch message := message.(type) {
		case *redis.Subscription: // again, perhaps: whatever was published meanwhile is lost
			c.near.PublishAll()
		case *redis.Message:
			if sender, topic, ok := decodeSignal(message.Payload); ok && sender != c.sender {
				c.near.Publish(ctx, topic)
			}
		}
	}
}

// receive waits for a message. The library panics on replies that no Redis
// sends: an empty list is one.
func receive(ctx context.Context, pubsub *redis.PubSub) (message any, err error) {
	defer func() {
		if recover() != nil {
			message, err = nil, errReply
		}
	}()
	return pubsub.ReceiveTimeout(ctx, quiet)
}

func encodeSignal(sender, topic string) string { return sender + " " + topic }

// decodeSignal reads who published what; ok is false for what no replica sends.
func decodeSignal(payload string) (sender, topic string, ok bool) {
	sender, topic, ok = strings.Cut(payload, " ")
	return sender, topic, ok && topic != "" && len(topic) <= volatile.MaxTopic && !strings.ContainsFunc(topic, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune(".-_", r)
	})
}
