// Package redis shares package volatile between replicas through Redis 7 or
// newer: standalone, behind Sentinel, or Cluster.
//
// Every question has a budget of 50 ms and is asked once. What Redis does not
// answer in time, or answers wrongly, package local answers for this process,
// and a breaker stops asking until a probe in the background succeeded. Keys
// are "agentidp:kind:{digest}" with a lifetime; the digest and the seal of every
// value that is believed come from a key that only replicas hold, so that Redis
// learns no client id and no address, and who writes into it forges nothing.
package redis

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	_ "embed" // take.lua
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"github.com/sentryagent/agentidp/idp/internal/volatile/local"
)

const (
	dialTimeout = 500 * time.Millisecond
	budget      = 50 * time.Millisecond // of a question on a request's path
	probeBudget = time.Second           // of a background question that may have to connect first
	poolSize    = 32                    // connections to each server
)

// KeySize is the least length of Options.Key, in bytes.
const KeySize = 32

//go:embed take.lua
var takeSource string

var takeScript = redis.NewScript(takeSource)

// Options say where Redis is. URL and Key are required.
type Options struct {
	// URL is one of
	//	redis://[user:password@]host[:port][/db]   rediss:// for TLS
	//	unix://[user:password@]/path[?db=n]
	//	redis+sentinel://[user:password@]host[:port],…/master[/db][?sentinel_password=…]
	//	redis+cluster://[user:password@]host[:port],…
	// and rediss+sentinel, rediss+cluster for TLS.
	URL string
	// Key is secret, KeySize bytes or more, the same on every replica and on
	// nothing else.
	Key []byte
	// Authorities are whose certificates a server with TLS may have; default: the system's.
	Authorities *x509.CertPool

	Logger  *slog.Logger     // default slog.Default
	Metrics *metrics.Set     // default: a set of its own
	Now     func() time.Time // of counts and expiry in this process; default time.Now
}

// Client implements every interface of package volatile. It is safe for
// concurrent use.
type Client struct {
	rdb     *server
	budget  time.Duration  // of a question
	near    *local.Process // what answers when Redis does not
	names   namer
	now     func() time.Time
	logger  *slog.Logger
	errors  map[op]*metrics.Counter
	breaker *breaker
	sender  string // this process on the bus

	stop  context.CancelFunc
	tasks sync.WaitGroup // those of Open; they end with stop
}

// The library logs to standard error on its own; every error reaches ours.
var silence = sync.OnceFunc(func() { redis.SetLogger(&logging.VoidLogger{}) })

// Open connects. A Redis that does not answer is no error: the Client starts
// degraded and heals by itself. An error says what is wrong with the options,
// and never contains a password. Close releases what Open started.
func Open(ctx context.Context, o Options) (*Client, error) { return openWithin(ctx, o, budget) }

func openWithin(ctx context.Context, o Options, budget time.Duration) (*Client, error) {
	silence()
	t, err := parseURL(o.URL)
	if err != nil {
		return nil, fmt.Errorf("redis url: %w", err)
	}
	t.budget, t.authorities = budget, o.Authorities
	if len(o.Key) < KeySize {
		return nil, fmt.Errorf("redis: key must have at least %d bytes, has %d", KeySize, len(o.Key))
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Metrics == nil {
		o.Metrics = metrics.NewSet()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	c := &Client{
		rdb: t.connect(), budget: budget, near: local.New(o.Now), names: newNamer(o.Key), now: o.Now, logger: o.Logger,
		errors: newErrors(o.Metrics), breaker: newBreaker(), sender: rand.Text(),
	}
	o.Metrics.NewGauge("agentidp_redis_up", func() float64 {
		if c.breaker.closed() {
			return 1
		}
		return 0
	})
	c.breaker.probed(c.probe(ctx), time.Now())
	c.report(c.breaker.closed())
	ctx, c.stop = context.WithCancel(context.WithoutCancel(ctx))
	c.tasks.Go(func() { c.watch(ctx) })
	c.tasks.Go(func() { c.listen(ctx) })
	return c, nil
}

// Close ends the connections. Questions asked later are answered by this
// process.
func (c *Client) Close() error {
	c.stop()
	err := c.rdb.Close()
	c.tasks.Wait()
	return err
}

// Ready tells why Redis is not asked at the moment; nil if it is.
func (c *Client) Ready(context.Context) error { return c.breaker.reason() }

// ask runs one question within the budget. On an error the caller answers for
// this process.
func (c *Client) ask(ctx context.Context, op op, question func(ctx context.Context) error) error {
	if !c.breaker.closed() {
		return errOpen
	}
	within, cancel := context.WithTimeout(ctx, c.budget)
	defer cancel()
	err := question(within)
	if err != nil && ctx.Err() != nil {
		return err // the caller left; nothing is known about Redis
	}
	if err != nil {
		c.errors[op].Inc()
	}
	c.breaker.asked(err, time.Now())
	return err
}

// watch probes in the background, so that no request has to try, until ctx ends.
func (c *Client) watch(ctx context.Context) {
	up := c.breaker.closed()
	for {
		timer := time.NewTimer(c.breaker.pause(time.Now()))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-c.breaker.opened: // by a question
			timer.Stop()
		case <-timer.C:
			err := c.probe(ctx)
			if ctx.Err() != nil {
				return
			}
			c.breaker.probed(err, time.Now())
		}
		if now := c.breaker.closed(); now != up {
			up = now
			c.report(up)
		}
	}
}

func (c *Client) report(up bool) {
	if up {
		c.logger.Info("redis answers: limits are shared between replicas")
		return
	}
	c.logger.Warn("redis does not answer as it should: limits are per process until it does", "error", c.breaker.reason())
}

// probe asks as a request would, after connecting where that is needed.
func (c *Client) probe(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, max(probeBudget, c.budget))
	defer cancel()
	defer func() {
		if err != nil {
			c.errors[opProbe].Inc()
		}
	}()
	if err := c.rdb.try(ctx); err != nil {
		return fmt.Errorf("ping: %w", err)
	}
	within, stop := context.WithTimeout(ctx, c.budget)
	defer stop()
	if _, err := c.take(within, c.names.name("probe", c.sender), 1, time.Second); err != nil {
		return fmt.Errorf("run a script: %w", err)
	}
	return nil
}

var errOpen = errors.New("redis failed a moment ago")
