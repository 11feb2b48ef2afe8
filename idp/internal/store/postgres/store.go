// Package postgres keeps the store in a PostgreSQL database that any number of
// replicas share. Writers take turns by an advisory lock, readers see snapshots,
// and replicas tell each other of revocations by NOTIFY. It also works through a
// connection pooler in transaction mode. The SQL stands as a constant above the
// method that runs it.
package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/VictoriaMetrics/metrics"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sentryagent/agentidp/idp/internal/store"
)

// Options say which database, and how to use it.
type Options struct {
	// URL is a PostgreSQL connection URL or keyword string; it may lead to a pooler in transaction mode.
	URL string
	// DirectURL leads to the server itself. Needed beside a pooler for LISTEN
	// and for migrations; without it a pooled Store polls.
	DirectURL string
	// MaxConns bounds the connections of the pool, from 2; default 10.
	MaxConns int32
	// Migrate brings the schema up to date before anything else.
	Migrate bool
	// Patience multiplies how long a transaction may take and wait; default 1. Tests
	// have more, on machines that run many of them at once.
	Patience int
	Logger   *slog.Logger // default: discards
	Metrics  *metrics.Set // default: a set nobody reads
}

// Store is one pool of connections to the database. It implements store.DB.
type Store struct {
	pool     *pgxpool.Pool
	server   server
	patience int           // Options.Patience
	turn     chan struct{} // capacity 1: the right to wait for the writers' lock
	permits  chan struct{} // one per view; leaves the pool a connection for the writer
	watchers watchers
	listener *listener
	suspect  atomic.Bool // the last write failed in a way that may heal

	writer    string  // this process's row of writers
	number    int64   // of the latest writing transaction; whoever has the turn owns it
	committed bool    // one of them is known to have committed; whoever has the turn owns it
	frontier  []int64 // chunks of tree hashes that the next append wants, if no other replica appends before; whoever has the turn owns it

	closing  chan struct{} // closed at the start of Close
	closeAll sync.Once
}

var _ store.DB = (*Store)(nil)

const (
	defaultConns = 10
	minimalConns = 2 // a writer and a view
)

// Open connects, demands a server that keeps what it commits and a schema that
// fits this program, and starts listening for changes. ErrUnreachable is the one
// error that may go away by itself.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = metrics.NewSet()
	}
	o.Patience = max(1, o.Patience)
	if o.MaxConns == 0 {
		o.MaxConns = defaultConns
	}
	if o.MaxConns < minimalConns {
		return nil, fmt.Errorf("database: %d connections are too few, at least %d", o.MaxConns, minimalConns)
	}
	if o.Migrate {
		if err := reach(ctx, &o); err != nil {
			return nil, fmt.Errorf("database: %w", err)
		}
		if err := Migrate(ctx, o.direct(), func(report string) { o.Logger.Info("migration", "applied", report) }); err != nil {
			return nil, err
		}
	}
	s, err := connect(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	return s, nil
}

// direct is the address that migrations and LISTEN use.
func (o *Options) direct() string {
	if o.DirectURL != "" {
		return o.DirectURL
	}
	return o.URL
}

func connect(ctx context.Context, o Options) (_ *Store, err error) {
	seen, err := inspect(ctx, &o)
	if err != nil {
		return nil, err
	}
	config, err := poolConfig(o.URL, o.MaxConns, seen.pooled)
	if err != nil {
		return nil, err
	}
	o.relax(config)
	if config.ConnConfig.ValidateConnect == nil { // the URL says target_session_attrs otherwise
		// What a failover left behind would answer reads from the past.
		config.ConnConfig.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsPrimary
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	s := &Store{
		pool: pool, server: seen, patience: o.Patience, writer: rand.Text(),
		turn: make(chan struct{}, 1), permits: make(chan struct{}, o.MaxConns-1), closing: make(chan struct{}),
	}
	s.listener, err = s.listen(o)
	if err != nil {
		pool.Close()
		return nil, err
	}
	s.instrument(o.Metrics)
	return s, nil
}

// Settings are the server's properties that durability and speed hang on, for the log at start.
func (s *Store) Settings() []slog.Attr {
	return []slog.Attr{
		slog.String("server_version", s.server.version),
		slog.String("fsync", s.server.fsync),
		slog.String("synchronous_commit", s.server.synchronousCommit),
		slog.Bool("pooled", s.server.pooled),
	}
}

// Watch implements store.DB. Keys that change signal too.
func (s *Store) Watch() (changed <-chan struct{}, stop func()) { return s.watchers.add() }

// Ping implements store.DB. After a failed write it makes a durable write of
// its own to see whether the cause, such as a full disk, is gone.
func (s *Store) Ping(ctx context.Context) error {
	if s.suspect.Load() {
		return s.update(ctx, pingWriter)
	}
	return s.view(ctx, pingReader)
}

const pingRead = `SELECT NOT pg_is_in_recovery() AND NOT current_setting('default_transaction_read_only')::boolean FROM changes WHERE id = 1`

var errNotWritable = errors.New("the server takes reads only")

func pingReader(ctx context.Context, t *transaction) error {
	writable, err := t.truth(ctx, pingRead)
	if err == nil && !writable {
		return fmt.Errorf("%w: %w", store.ErrUnavailable, errNotWritable)
	}
	return err
}

const pingWrite = `UPDATE changes SET number = number WHERE id = 1`

func pingWriter(ctx context.Context, t *transaction) error {
	_, err := t.exec(ctx, pingWrite)
	return err
}

// Close waits for open transactions and lets the connections go.
func (s *Store) Close() error {
	s.closeAll.Do(func() {
		close(s.closing)
		s.listener.close()
		s.turn <- struct{}{} // kept: nobody begins after this
		for range cap(s.permits) {
			s.permits <- struct{}{}
		}
		s.pool.Close()
	})
	return nil
}
