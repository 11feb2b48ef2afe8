// Package seed fills stores with as much as an installation has after years, to
// measure how the product behaves then: agents with credentials of known
// secrets, revocations, audit events. It writes past the program, straight into
// the tables: for throw-away stores that no program has open.
//
// What it writes is valid: the tree continues the one that is there, so that the
// next start signs a checkpoint over all of it and `agentidp audit verify` holds.
// It is not complete: seeded agents have no events of their making, and the
// counts behind /api/v1/stats know nothing of seeded events before Store.Count.
package seed

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sentryagent/agentidp/deploy/dev/stack"
)

// Store is an open store. It is not safe for concurrent use.
type Store struct {
	backend
	rows int64 // of one transaction
}

// backend is one kind of store. Rows come in batches, each of which is one
// transaction.
type backend interface {
	organizations(ctx context.Context, batch []organization) error
	agents(ctx context.Context, batch []agent) error
	revocations(ctx context.Context, batch []revocation) error
	// tree is how many events there are, and what reads the hashes over them.
	tree(ctx context.Context) (size int64, read tlog.HashReader, err error)
	// quicken makes many events faster until settle, such as by dropping indexes.
	quicken(ctx context.Context) error
	events(ctx context.Context, batch []event) error
	// count counts the events that there are.
	count(ctx context.Context) error
	// settle brings indexes and statistics up to what was written.
	settle(ctx context.Context) error
	close() error
}

// Open opens the migrated store at the address: the URL of a PostgreSQL
// database, whose owner writes, or the path of a SQLite file.
func Open(ctx context.Context, address string) (*Store, error) {
	var b backend
	var err error
	if strings.HasPrefix(address, "postgres://") || strings.HasPrefix(address, "postgresql://") {
		b, err = openPostgres(ctx, address)
	} else {
		b, err = openSQLite(ctx, address)
	}
	if err != nil {
		return nil, fmt.Errorf("seed: %w", err)
	}
	return &Store{backend: b, rows: transactionRows}, nil
}

// Count makes the counts of events behind /api/v1/stats anew, from the log.
func (s *Store) Count(ctx context.Context) error {
	if err := s.count(ctx); err != nil {
		return fmt.Errorf("seed counts: %w", err)
	}
	return nil
}

// Close closes the store.
func (s *Store) Close() error { return s.close() }

// Address is where the IdP of a stack has its store, for Open.
func Address(s *stack.Stack) string {
	if url := setting(s, "DATABASE_URL"); url != "" {
		return url
	}
	return filepath.Join(s.IdPDir(), "agentidp.db")
}

// Pepper is the setting under which the IdP of a stack keeps secrets.
func Pepper(s *stack.Stack) string { return setting(s, "AGENTIDP_PEPPER") }

func setting(s *stack.Stack, name string) string {
	for _, pair := range s.IdPEnv {
		if value, found := strings.CutPrefix(pair, name+"="); found {
			return value
		}
	}
	return ""
}

// Progress is told after each batch how much is written. nil: nobody is.
type Progress func(done, of int64)

func (p Progress) tell(done, of int64) {
	if p != nil {
		p(done, of)
	}
}

const transactionRows = 50_000

// batches calls write for each range of at most a transaction's numbers up to count.
func (s *Store) batches(ctx context.Context, count int64, progress Progress, write func(from, to int64) error) error {
	for from := int64(0); from < count; from += s.rows {
		to := min(from+s.rows, count)
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := write(from, to); err != nil {
			return err
		}
		progress.tell(to, count)
	}
	return s.settle(ctx)
}
