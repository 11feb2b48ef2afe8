package vault

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/sentryagent/agentidp/idp/internal/turnstile"
	"github.com/sentryagent/agentidp/shared/obs"
)

const (
	callTimeout = 2 * time.Second // of one call, waiting in line and logging in included
	inFlight    = 32              // calls at once
	inLine      = 128             // that wait for one of them to end
	readyFor    = time.Second     // how long an answer of Ready stands
)

// Client talks to one Vault. It is safe for concurrent use; Close it at the end.
type Client struct {
	options Options
	dialer  *dialer
	session *session
	breaker *breaker
	line    *turnstile.Turnstile
	ready   *ready

	stop context.CancelFunc // ends the keeper
	done chan struct{}      // closed by the keeper
}

// Open makes a Client. It does not talk to Vault: the first call logs in. The
// token is then kept alive until Close or the end of ctx.
func Open(ctx context.Context, o Options) (*Client, error) {
	if err := o.setDefaults(); err != nil {
		return nil, err
	}
	dialer, err := newDialer(&o)
	if err != nil {
		return nil, err
	}
	c := &Client{
		options: o, dialer: dialer, session: newSession(&o, dialer), breaker: &breaker{now: o.Now},
		line: turnstile.New(inFlight, inLine), ready: newReady(o.Now), done: make(chan struct{}),
	}
	o.Metrics.NewGauge("agentidp_vault_available", func() float64 {
		if c.breaker.open() {
			return 0
		}
		return 1
	})
	ctx, c.stop = context.WithCancel(ctx)
	go c.keep(ctx)
	return c, nil
}

// Close stops what runs in the background and drops the connections.
func (c *Client) Close() {
	c.stop()
	<-c.done
	c.dialer.http.CloseIdleConnections()
}

// Ready asks whether Vault serves us now: unsealed, in reach, our token good.
// An answer stands for a second, so that asking often costs Vault nothing.
func (c *Client) Ready(ctx context.Context) error {
	return c.ready.ask(ctx, func(ctx context.Context) error {
		return c.do(ctx, request{operation: "lookup-self", path: "auth/token/lookup-self"}, nil)
	})
}

// do sends a request as who we are logged in as and decodes the data of the
// answer into out; nil: nobody reads it. Errors: ErrUnavailable, ErrConflict,
// errAbsent, context.Canceled when the caller left, else a fault.
func (c *Client) do(ctx context.Context, r request, out any) error {
	ctx, cancel := context.WithTimeout(ctx, c.options.callTimeout)
	defer cancel()
	started := time.Now()
	err := c.guarded(ctx, r, out)
	obs.Durations(c.options.Metrics, "agentidp_vault_request_seconds", "operation", r.operation).Update(time.Since(started).Seconds())
	if err == nil || errors.Is(err, errAbsent) {
		return err
	}
	c.failures(r.operation, err).Inc()
	return fmt.Errorf("vault: %s: %w", r.operation, err)
}

func (c *Client) failures(operation string, err error) *metrics.Counter {
	reason := "fault"
	switch {
	case errors.Is(err, ErrUnavailable):
		reason = "unavailable"
	case errors.Is(err, ErrConflict):
		reason = "conflict"
	case errors.Is(err, context.Canceled):
		reason = "caller_gone"
	}
	return c.options.Metrics.GetOrCreateCounter(obs.Name("agentidp_vault_failures_total", "operation", operation, "reason", reason))
}

// guarded is what keeps a bad Vault from holding us: the breaker and the line.
func (c *Client) guarded(ctx context.Context, r request, out any) error {
	if !c.breaker.allow() {
		return fmt.Errorf("%w: it did not answer a moment ago", ErrUnavailable)
	}
	if err := c.line.Enter(ctx); err != nil {
		c.breaker.unknown()
		if errors.Is(err, context.Canceled) {
			return context.Canceled
		}
		return fmt.Errorf("%w: too many calls at once", ErrUnavailable)
	}
	defer c.line.Leave()
	err := c.authorized(ctx, r, out)
	switch {
	case errors.Is(err, context.Canceled):
		c.breaker.unknown()
	case errors.Is(err, errForbidden): // it answered, and is as good as gone
		err = fmt.Errorf("%w: %w", ErrUnavailable, err)
		c.answered(ctx)
	case errors.Is(err, ErrUnavailable):
		if c.breaker.failed() {
			c.options.Logger.LogAttrs(ctx, slog.LevelWarn, "vault does not answer", slog.Any("error", err))
		}
	default:
		c.answered(ctx)
	}
	return err
}

func (c *Client) answered(ctx context.Context) {
	if c.breaker.answered() {
		c.options.Logger.LogAttrs(ctx, slog.LevelInfo, "vault answers again")
	}
}

// authorized sends the request, and once more as newly logged in when the token
// was refused: it may have expired or been revoked.
func (c *Client) authorized(ctx context.Context, r request, out any) error {
	g, err := c.session.get(ctx, nil)
	if err != nil {
		return err
	}
	err = send(ctx, g.api, r, out)
	if !errors.Is(err, errForbidden) {
		return err
	}
	if g, err = c.session.get(ctx, g); err != nil {
		return err
	}
	return send(ctx, g.api, r, out)
}
