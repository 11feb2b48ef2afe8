package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"

	"modernc.org/sqlite" // also registers the driver
)

// pragma is one setting of a connection: what is asked, and what SQLite must answer when asked back.
type pragma struct {
	name  string
	set   string // empty: only read back
	query string
	want  string
}

// Settings of the writer. Its checkpoints are the store's own (wal.go), because
// SQLite hides a failed sync of an automatic one.
var writerPragmas = []pragma{
	{"journal_mode", "WAL", "PRAGMA journal_mode", "wal"},
	{"synchronous", "FULL", "PRAGMA synchronous", "2"},
	{"fullfsync", "1", "PRAGMA fullfsync", "1"}, // macOS: past the drive's cache
	{"checkpoint_fullfsync", "1", "PRAGMA checkpoint_fullfsync", "1"},
	{"foreign_keys", "1", "PRAGMA foreign_keys", "1"},
	{"busy_timeout", "5000", "PRAGMA busy_timeout", "5000"}, // milliseconds
	{"wal_autocheckpoint", "0", "PRAGMA wal_autocheckpoint", "0"},
	{"journal_size_limit", "67108864", "PRAGMA journal_size_limit", "67108864"}, // bytes
	{"cache_size", "-8192", "PRAGMA cache_size", "-8192"},                       // KiB
	{"temp_store", "MEMORY", "PRAGMA temp_store", "2"},
	{"trusted_schema", "0", "PRAGMA trusted_schema", "0"},
	{"cell_size_check", "1", "PRAGMA cell_size_check", "1"},
}

// Settings of a reader; mode=ro in its address and query_only both keep it from writing.
var readerPragmas = []pragma{
	{"journal_mode", "", "PRAGMA journal_mode", "wal"},
	{"query_only", "1", "PRAGMA query_only", "1"},
	{"busy_timeout", "5000", "PRAGMA busy_timeout", "5000"},
	{"cache_size", "-2048", "PRAGMA cache_size", "-2048"},
	{"temp_store", "MEMORY", "PRAGMA temp_store", "2"},
	{"trusted_schema", "0", "PRAGMA trusted_schema", "0"},
	{"cell_size_check", "1", "PRAGMA cell_size_check", "1"},
}

// openDB connects lazily to the file; every connection gets the settings.
func openDB(path string, pragmas []pragma, connections int) *sql.DB {
	query := url.Values{"_dqs": {"0"}, "_defensive": {"1"}, "_error_rc": {"1"}, "_txlock": {"immediate"}, "mode": {"rw"}}
	for _, p := range pragmas {
		if p.set != "" {
			query.Add("_pragma", p.name+"("+p.set+")")
		}
		if p.name == "query_only" {
			query.Set("mode", "ro")
		}
	}
	address := url.URL{Scheme: "file", Path: path, RawQuery: query.Encode()}
	connector, err := sqlite.NewConnector(address.String())
	if err != nil {
		panic(fmt.Sprintf("sqlite: address made here does not parse: %v", err))
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db
}

// verify reads every setting back; SQLite ignores what it cannot do.
func verify(ctx context.Context, conn *sql.Conn, pragmas []pragma) error {
	var problems []error
	for _, p := range pragmas {
		var got string
		if err := conn.QueryRowContext(ctx, p.query).Scan(&got); err != nil {
			return fmt.Errorf("%s: %w", p.query, err)
		}
		if got != p.want {
			problems = append(problems, fmt.Errorf("%s is %q, must be %q", p.name, got, p.want))
		}
	}
	return errors.Join(problems...)
}
