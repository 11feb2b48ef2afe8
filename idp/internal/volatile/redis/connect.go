package redis

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// options of every client. Nothing is retried: the caller has an answer of its own.
func (t *target) options() redis.UniversalOptions {
	return redis.UniversalOptions{
		Addrs: t.addrs, DB: t.db, Username: t.user, Password: t.password, Dialer: t.dial,

		DialTimeout: max(dialTimeout, t.budget), DialerRetries: 1,
		ReadTimeout: t.budget, WriteTimeout: t.budget, ContextTimeoutEnabled: true,
		MaxRetries: -1, MaxRedirects: 2, MinRetryBackoff: time.Millisecond, MaxRetryBackoff: 8 * time.Millisecond,
		PoolSize: poolSize, PoolTimeout: t.budget, PipelinePoolSize: -1, ConnMaxIdleTime: 5 * time.Minute,

		Protocol: 2, DisableIdentity: true, // nothing that a question does not need
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
}

// server is a client, with what it takes to find the master and to try all of it.
type server struct {
	redis.UniversalClient
	sentinels *sentinels // nil: not behind Sentinel
}

// connect makes the client, without connecting.
func (t *target) connect() *server {
	o := t.options()
	switch {
	case t.kind == "cluster":
		return &server{UniversalClient: redis.NewClusterClient(o.Cluster())}
	case t.kind == "sentinel":
		found := newSentinels(t)
		o.Addrs, o.Dialer = []string{t.master}, found.dial
		return &server{redis.NewClient(o.Simple()), found}
	case t.socket != "":
		o.Addrs = []string{t.socket}
	}
	return &server{UniversalClient: redis.NewClient(o.Simple())}
}

// try asks every master for a sign of life. Connections that died meanwhile do
// not count: each is found out once, here and not by a request.
func (s *server) try(ctx context.Context) (err error) {
	if s.sentinels != nil {
		s.sentinels.follow(ctx)
	}
	ping := func(ctx context.Context) error { return s.Ping(ctx).Err() }
	if cluster, ok := s.UniversalClient.(*redis.ClusterClient); ok {
		ping = func(ctx context.Context) error {
			return cluster.ForEachMaster(ctx, func(ctx context.Context, master *redis.Client) error { return master.Ping(ctx).Err() })
		}
	}
	for range poolSize {
		if err = ping(ctx); !hungUp(err) {
			break
		}
	}
	return err
}

// hungUp says that a connection ended before the question, as those to a server
// that was restarted have.
func hungUp(err error) bool {
	for _, end := range []error{io.EOF, net.ErrClosed, syscall.ECONNRESET, syscall.EPIPE} {
		if errors.Is(err, end) {
			return true
		}
	}
	return false
}

func (s *server) Close() error {
	err := s.UniversalClient.Close()
	if s.sentinels != nil {
		err = errors.Join(err, s.sentinels.close())
	}
	return err
}
