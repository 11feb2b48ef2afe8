package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sentryagent/agentidp/idp/internal/store"
)

var (
	// ErrNotEmpty says that a database holds something already.
	ErrNotEmpty = errors.New("the database is not empty")
	// ErrNotOwner says that the role of the URL does not own the tables.
	ErrNotOwner = errors.New("the role must own the tables: give its URL as DATABASE_DIRECT_URL")
)

const (
	loadBatch = 8192      // rows that go out in one COPY
	loadLimit = time.Hour // for one statement, such as an ANALYZE of everything
)

// LoadOptions say where a Load goes.
type LoadOptions struct {
	// URL leads to the server itself, as the role that owns the tables.
	URL string
	// Progress is told how many rows of a table are there.
	Progress func(table string, rows int64)
	// Check reads the result; its error undoes everything.
	Check func(ctx context.Context, tx *store.Tx) error
}

// Load fills an empty database of this release's schema with what another
// backend has dumped, all of it in one transaction or nothing. Sequences, bytes,
// hashes and ids stay; what numbers events here is given anew. Replicas cannot
// write meanwhile.
func Load(ctx context.Context, from store.Dump, o LoadOptions) (err error) {
	if o.Progress == nil {
		o.Progress = func(string, int64) {}
	}
	config, err := poolConfig(o.URL, 1, false)
	if err != nil {
		return fmt.Errorf("load: %w", err)
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return fmt.Errorf("load: %w", err)
	}
	defer pool.Close()
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("load: %w", err)
	}
	l := &load{
		transaction: &transaction{conn: conn, writing: true, limit: loadLimit}, from: from, progress: o.Progress,
		kinds: make(map[meaning]kind), verbs: make(map[meaning]int16),
	}
	defer func() {
		l.over = true
		_ = conn.Conn().Close(context.WithoutCancel(ctx)) // rolls back what is not committed
		conn.Release()
	}()
	if err := l.run(ctx, o.Check); err != nil {
		return fmt.Errorf("load: %w", err)
	}
	return nil
}

// load is one Load under way.
type load struct {
	*transaction
	from     store.Dump
	progress func(table string, rows int64)
	kinds    map[meaning]kind  // numbered so far
	verbs    map[meaning]int16 // likewise, of no organization
}

func (l *load) run(ctx context.Context, check func(ctx context.Context, tx *store.Tx) error) error {
	if err := l.begin(ctx); err != nil {
		return err
	}
	for _, table := range store.Tables {
		if err := l.table(ctx, table); err != nil {
			return fmt.Errorf("%s: %w", table.Name, err)
		}
	}
	for _, part := range []func(context.Context) error{l.events, l.counts, l.tree, l.revocations} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	if _, err := l.exec(ctx, loadAnalyze); err != nil {
		return err
	}
	if check != nil {
		if err := check(ctx, l.tx()); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := l.sendCommit(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("commit: %w; look whether the database is empty still", err)
	}
	return nil
}

// What is new is unknown to the planner, here and for the first who serve.
const loadAnalyze = `ANALYZE`

const (
	loadPatience = `
SELECT set_config('statement_timeout', '0', true), set_config('idle_in_transaction_session_timeout', '0', true),
    set_config('lock_timeout', '10s', true)`
	loadOwner = `SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = 'events'::regclass`
)

// loadPresent names what an empty database does not have.
const loadPresent = `
SELECT coalesce(string_agg(name, ', '), '')
FROM (VALUES
    ('organizations', EXISTS (SELECT FROM organizations)), ('agents', EXISTS (SELECT FROM agents)),
    ('agent_capabilities', EXISTS (SELECT FROM agent_capabilities)), ('credentials', EXISTS (SELECT FROM credentials)),
    ('token_usage', EXISTS (SELECT FROM token_usage)), ('idempotency', EXISTS (SELECT FROM idempotency)),
    ('assertions', EXISTS (SELECT FROM assertions)), ('pruned_segments', EXISTS (SELECT FROM pruned_segments)),
    ('checkpoints', EXISTS (SELECT FROM checkpoints)), ('revocations', EXISTS (SELECT FROM revocations)),
    ('keys', EXISTS (SELECT FROM keys)), ('sidecars', EXISTS (SELECT FROM sidecars)),
    ('settings', EXISTS (SELECT FROM settings)), ('status_lists', EXISTS (SELECT FROM status_lists)),
    ('events', EXISTS (SELECT FROM events)), ('event_counts', EXISTS (SELECT FROM event_counts)),
    ('tree_hashes', EXISTS (SELECT FROM tree_hashes)), ('tree_head', EXISTS (SELECT FROM tree_head WHERE size <> 0)),
    ('event_head', EXISTS (SELECT FROM event_head WHERE next <> 0)),
    ('revocation_head', EXISTS (SELECT FROM revocation_head WHERE last <> 0))) AS present (name, there)
WHERE present.there`

// begin opens the transaction, as the only writer, and looks whom it has before it.
func (l *load) begin(ctx context.Context) error {
	seen, err := probe(ctx, l.conn.Conn())
	if err != nil {
		return err
	}
	if seen.pooled {
		return ErrPooled
	}
	if err := errors.Join(seen.check(), checkSchema(ctx, l.conn.Conn())); err != nil {
		return err
	}
	l.ahead = []string{writeBegin, loadPatience, writeLock}
	owner, err := l.truth(ctx, loadOwner)
	if err != nil {
		return err
	}
	if !owner {
		return ErrNotOwner
	}
	present, err := get(ctx, l.transaction, loadPresent, scanText)
	if err == nil && present != "" {
		err = fmt.Errorf("%w: there are rows in %s", ErrNotEmpty, present)
	}
	return err
}

// table copies the rows of one of store.Tables.
func (l *load) table(ctx context.Context, table store.Table) error {
	truth := -1
	if table.Name == "agents" {
		truth = slices.Index(table.Columns, "administrator") // a number elsewhere
	}
	out := l.copier(table.Name, table.Columns)
	err := l.from.Rows(ctx, table.Name, func(row []any) error {
		if truth >= 0 {
			row[truth] = row[truth] != int64(0)
		}
		return out.add(ctx, slices.Clone(row)...)
	})
	if err != nil {
		return err
	}
	return out.flush(ctx)
}

const loadTreeHead = `UPDATE tree_head SET size = $1 WHERE id = 1`

// tree copies the hashes; the head stands at what the source says.
func (l *load) tree(ctx context.Context) error {
	size, err := l.from.Tx().Tree.Size(ctx)
	if err != nil {
		return err
	}
	next := int64(0)
	out := l.copier("tree_hashes", []string{"chunk", "place", "hashes"})
	err = l.from.Hashes(ctx, func(first int64, hashes [][32]byte) error {
		if first != next {
			return fmt.Errorf("the source has %d hashes and then those from %d on", next, first)
		}
		next += int64(len(hashes))
		firsts, runs := cutRuns(first, hashes)
		for i, at := range firsts {
			if err := out.add(ctx, at/chunkHashes, at%chunkHashes, runs[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		err = out.flush(ctx)
	}
	if err != nil {
		return err
	}
	if next != tlog.StoredHashCount(size) {
		return fmt.Errorf("the source has %d hashes, a tree of %d events has %d", next, size, tlog.StoredHashCount(size))
	}
	return l.touch(ctx, loadTreeHead, size)
}

const loadRevocationHead = `UPDATE revocation_head SET last = $1, pruned = $2 WHERE id = 1`

// revocations sets where the feed stands.
func (l *load) revocations(ctx context.Context) error {
	last, pruned, err := l.from.Tx().Revocations.Bounds(ctx)
	if err != nil {
		return err
	}
	return l.touch(ctx, loadRevocationHead, last, pruned)
}

// copier sends rows by COPY, a batch at a time.
type copier struct {
	*load
	table   pgx.Identifier
	columns []string
	rows    [][]any
	sent    int64
}

func (l *load) copier(table string, columns []string) *copier {
	return &copier{load: l, table: pgx.Identifier{table}, columns: columns}
}

// add keeps the values until they are sent.
func (c *copier) add(ctx context.Context, values ...any) error {
	c.rows = append(c.rows, values)
	if len(c.rows) < loadBatch {
		return nil
	}
	return c.flush(ctx)
}

func (c *copier) flush(ctx context.Context) error {
	if err := c.usable(ctx); err != nil {
		return err
	}
	sent, err := c.conn.CopyFrom(ctx, c.table, c.columns, pgx.CopyFromRows(c.rows))
	if err != nil {
		return c.judge(ctx, err)
	}
	c.sent += sent
	c.rows = c.rows[:0]
	c.progress(c.table[0], c.sent)
	return nil
}
