package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// oldestServer is the first release that this program is tested on, as server_version_num.
const oldestServer = 140000

// dialLimit bounds the making of one connection.
const dialLimit = 1200 * time.Millisecond

// server is what a connection tells about whom it reaches.
type server struct {
	number            int // server_version_num
	version           string
	fsync             string
	synchronousCommit string // as this role has it in this database
	pooled            bool   // something between hands transactions to changing connections
	standby           bool
	readOnly          bool
	backend           uint32
}

// inspect demands a server that can serve: a commit must survive a power cut.
func inspect(ctx context.Context, o *Options) (server, error) {
	config, err := poolConfig(o.URL, minimalConns, true)
	if err != nil {
		return server{}, err
	}
	o.relax(config)
	conn, err := pgx.ConnectConfig(ctx, config.ConnConfig)
	if err != nil {
		return server{}, unreached(err)
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing was written
	ctx, done := context.WithTimeout(ctx, statementLimit*time.Duration(o.Patience))
	defer done()
	seen, err := probe(ctx, conn)
	if err != nil {
		return server{}, unreached(err) // a pooler answers for a server that is away
	}
	if err := seen.check(); err != nil {
		return server{}, err
	}
	if err := checkSchema(ctx, conn); err != nil {
		return server{}, err
	}
	if err := conn.QueryRow(ctx, commitOutcome, "").Scan(nil, nil); err != nil { // not every product that looks like PostgreSQL can
		return server{}, fmt.Errorf("transaction identity: %w", err)
	}
	return seen, nil
}

const serverSettings = `
SELECT current_setting('server_version_num')::integer, current_setting('server_version'), current_setting('fsync'),
    current_setting('synchronous_commit'), pg_is_in_recovery(),
    current_setting('default_transaction_read_only')::boolean, pg_backend_pid()`

func probe(ctx context.Context, conn *pgx.Conn) (server, error) {
	var s server
	err := conn.QueryRow(ctx, serverSettings).Scan(&s.number, &s.version, &s.fsync, &s.synchronousCommit, &s.standby, &s.readOnly, &s.backend)
	if err != nil {
		return server{}, fmt.Errorf("server settings: %w", err)
	}
	s.pooled = s.backend != conn.PgConn().PID()
	return s, nil
}

// check names everything that keeps the server from serving.
func (s server) check() error {
	var problems []error
	if s.number < oldestServer {
		problems = append(problems, fmt.Errorf("PostgreSQL %s is too old: 14 or later is needed", s.version))
	}
	if s.fsync != "on" {
		problems = append(problems, fmt.Errorf("fsync is %q: a crash of the server could lose what was committed", s.fsync))
	}
	switch s.synchronousCommit {
	case "on", "remote_apply", "remote_write", "local":
	default:
		problems = append(problems, fmt.Errorf("synchronous_commit is %q: a commit would not be durable when it returns", s.synchronousCommit))
	}
	if s.standby {
		problems = append(problems, errors.New("the server is a standby: the address must lead to the primary"))
	} else if s.readOnly {
		problems = append(problems, errors.New("default_transaction_read_only is on for this role or database"))
	}
	return errors.Join(problems...)
}

// relax gives connecting as much time as the rest has.
func (o *Options) relax(config *pgxpool.Config) {
	config.PingTimeout *= time.Duration(o.Patience)
	config.ConnConfig.ConnectTimeout *= time.Duration(o.Patience)
}

// poolConfig reads the address. Behind a pooler no statement is prepared by
// name: the next transaction may run on another connection.
func poolConfig(url string, conns int32, pooled bool) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err // names no password
	}
	config.MaxConns = conns
	config.MinConns = 0
	config.HealthCheckPeriod = 5 * time.Second
	config.PingTimeout = 500 * time.Millisecond
	config.ConnConfig.ConnectTimeout = dialLimit
	if pooled {
		config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	}
	if config.ConnConfig.RuntimeParams["application_name"] == "" {
		config.ConnConfig.RuntimeParams["application_name"] = "agentidp"
	}
	return config, nil
}
