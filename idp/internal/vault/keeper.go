package vault

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"
)

const (
	keepPause    = time.Second // after the first failure to renew; doubles
	keepPauseMax = 30 * time.Second
)

// keep renews the token before it expires, and logs in anew when it cannot be
// renewed any more. It ends with ctx.
func (c *Client) keep(ctx context.Context) {
	defer close(c.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	pause := time.Duration(0)
	for {
		timer.Reset(c.idle(pause))
		select {
		case <-ctx.Done():
			return
		case <-c.session.changed:
			pause = 0
			continue
		case <-timer.C:
		}
		err := c.prolong(ctx)
		switch {
		case err == nil:
			pause = 0
		case ctx.Err() != nil:
			return
		default:
			pause = min(max(2*pause, keepPause), keepPauseMax)
			c.options.Logger.LogAttrs(ctx, slog.LevelWarn, "vault token not renewed", slog.Any("error", err), slog.Duration("again", pause))
		}
	}
}

// idle is how long there is nothing to do; pause is what the last failure asks for.
func (c *Client) idle(pause time.Duration) time.Duration {
	const nothing = time.Hour
	g, now := c.session.peek(), c.options.Now()
	if g == nil {
		return nothing
	}
	due := g.due(now)
	switch {
	case due.IsZero():
		return nothing
	case pause > 0:
		return pause
	default:
		return due.Sub(now)
	}
}

// prolong renews the token. Near the end of what may be renewed Vault gives
// less than was asked for: then, and when it refuses, only a login helps.
func (c *Client) prolong(ctx context.Context) error {
	g := c.session.peek()
	if g == nil || g.expires.IsZero() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.options.callTimeout)
	defer cancel()
	if g.renewable && !g.expired(c.options.Now()) {
		got, err := renew(ctx, g)
		if errors.Is(err, ErrUnavailable) || errors.Is(err, context.Canceled) {
			return err
		}
		if err == nil && got.lease() > 0 { // else less than a second is left
			lease := g.lease
			if g = c.session.renewed(g, got); got.lease() >= lease/2 {
				return nil
			}
		}
	}
	_, err := c.session.get(ctx, g)
	return err
}

func renew(ctx context.Context, g *grant) (*authority, error) {
	var got answer
	err := send(ctx, g.api, request{method: http.MethodPut, path: "auth/token/renew-self", body: struct{}{}}, &got)
	if err == nil && got.Auth == nil {
		err = errAnswer
	}
	return got.Auth, err
}
