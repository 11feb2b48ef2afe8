package postgres

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/jackc/pgx/v5"

	"github.com/sentryagent/agentidp/shared/obs"
)

const (
	pollPause   = 100 * time.Millisecond // between looks at the changes while nobody listens
	redialPause = time.Second            // between attempts to listen again
	listenLimit = 2 * time.Second        // of silence before the connection is tried
	listenProof = 1500 * time.Millisecond
)

// listener tells the store's watchers what other replicas changed. It is one
// goroutine, which ends with close.
type listener struct {
	store  *Store
	config *pgx.ConnConfig // nil: only a pooler is known, which passes no notifications on
	logger *slog.Logger
	up     atomic.Bool // notifications arrive
	stop   context.CancelFunc
	done   chan struct{}
}

// listen starts the listener.
func (s *Store) listen(o Options) (*listener, error) {
	l := &listener{store: s, logger: o.Logger, done: make(chan struct{})}
	if o.DirectURL != "" || !s.server.pooled {
		config, err := poolConfig(o.direct(), minimalConns, true)
		if err != nil {
			return nil, fmt.Errorf("direct: %w", err)
		}
		l.config = config.ConnConfig
	}
	ctx, stop := context.WithCancel(context.Background())
	l.stop = stop
	go l.run(ctx)
	return l, nil
}

func (l *listener) close() {
	l.stop()
	<-l.done
}

func (l *listener) run(ctx context.Context) {
	defer close(l.done)
	for ctx.Err() == nil {
		if l.config != nil {
			err := l.hear(ctx)
			if ctx.Err() != nil {
				return
			}
			l.logger.Warn("not listening for changes, polling instead", "error", err)
		}
		l.poll(ctx)
	}
}

const listenChanges = `LISTEN agentidp_changed`

const listenAlive = `SELECT 1`

// hear signals for every notification until the connection fails, which it
// reports. Whatever was missed before is covered by one signal at the start.
func (l *listener) hear(ctx context.Context) error {
	conn, err := pgx.ConnectConfig(ctx, l.config)
	if err != nil {
		return err
	}
	defer func() {
		l.up.Store(false)
		closing, done := context.WithTimeout(context.WithoutCancel(ctx), listenProof)
		defer done()
		_ = conn.Close(closing) // it may be broken
	}()
	if err := l.ask(ctx, conn, listenChanges); err != nil {
		return err
	}
	l.up.Store(true)
	l.store.watchers.signal()
	for {
		err := l.wait(ctx, conn)
		switch {
		case err == nil:
			l.store.watchers.signal()
		case ctx.Err() != nil:
			return ctx.Err()
		case conn.IsClosed():
			return err
		default:
			if err := l.ask(ctx, conn, listenAlive); err != nil {
				return err
			}
		}
	}
}

func (l *listener) wait(ctx context.Context, conn *pgx.Conn) error {
	ctx, done := context.WithTimeout(ctx, listenLimit)
	defer done()
	_, err := conn.WaitForNotification(ctx)
	return err
}

// ask demands an answer: a connection that was cut without a word gives none.
func (l *listener) ask(ctx context.Context, conn *pgx.Conn, statement string) error {
	ctx, done := context.WithTimeout(ctx, listenProof)
	defer done()
	return conn.PgConn().Exec(ctx, statement).Close()
}

// poll looks for changes until it is time to try listening again.
func (l *listener) poll(ctx context.Context) {
	tick := time.NewTicker(pollPause)
	defer tick.Stop()
	seen := int64(-1) // the first look signals: something may have been missed
	for began := time.Now(); l.config == nil || time.Since(began) < redialPause; {
		now, err := l.look(ctx)
		if err == nil && now != seen {
			seen = now
			l.store.watchers.signal()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

const listenNumber = `SELECT number FROM changes WHERE id = 1`

func (l *listener) look(ctx context.Context) (number int64, err error) {
	err = l.store.view(ctx, func(ctx context.Context, t *transaction) error {
		number, err = t.number(ctx, listenNumber)
		return err
	})
	return number, err
}

// instrument shows the pool and the listener.
func (s *Store) instrument(set *metrics.Set) {
	set.NewGauge(obs.Name("agentidp_store_connections", "state", "used"), func() float64 { return float64(s.pool.Stat().AcquiredConns()) })
	set.NewGauge(obs.Name("agentidp_store_connections", "state", "idle"), func() float64 { return float64(s.pool.Stat().IdleConns()) })
	set.NewGauge("agentidp_store_listening", func() float64 {
		if s.listener.up.Load() {
			return 1
		}
		return 0
	})
}
