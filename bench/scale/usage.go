package scale

import (
	"bytes"
	"compress/gzip"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	_ "modernc.org/sqlite" // a log's file is looked into

	"github.com/sentryagent/agentidp/bench/lab"
	"github.com/sentryagent/agentidp/bench/result"
)

// usage is what several logs have, and what they took so far.
type usage struct {
	own, store time.Duration // processor time of this process, and of the database server
	events     int64
	disk, wal  int64
}

func (r *run) usage(ctx context.Context, logs []*partition) (u usage, err error) {
	for _, p := range logs {
		events, err := p.log.Size(ctx)
		if err != nil {
			return u, err
		}
		disk, wal, err := size(ctx, p.url, p.path)
		if err != nil {
			return u, err
		}
		u.events, u.disk, u.wal = u.events+events, u.disk+disk, wal // one server has one log
	}
	if u.own, err = spent(); err != nil || logs[0].url == "" || r.Server != "" {
		return u, err // a server that we were given may be elsewhere
	}
	u.store, err = serverCPU(ctx, logs[0].url)
	return u, err
}

// since is a sample of what happened between two looks.
func (u usage) since(before usage, events int, took time.Duration) result.Sample {
	each := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(events) }
	s := result.Sample{
		result.PerSecond: float64(events) / took.Seconds(), result.Requests: float64(events),
		result.CPU: each(u.own - before.own + u.store - before.store), DiskBytes: float64(u.disk-before.disk) / float64(events),
	}
	if u.wal > 0 {
		s[WALBytes], s[StoreCPU] = float64(u.wal-before.wal)/float64(events), each(u.store-before.store)
	}
	return s
}

// size is what a store takes on the disk, and how much its server has logged.
func size(ctx context.Context, url, path string) (disk, wal int64, err error) {
	if url != "" {
		err = ask(ctx, url, `SELECT pg_database_size(current_database()), (pg_current_wal_insert_lsn() - '0/0')::bigint`, &disk, &wal)
		return disk, wal, err
	}
	// The file itself may grow only when its log is moved into it.
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	err = db.QueryRowContext(ctx, `SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()`).Scan(&disk)
	return disk, 0, err
}

func ask(ctx context.Context, url, question string, answers ...any) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return conn.QueryRow(ctx, question).Scan(answers...)
}

// serverCPU is the processor time of a PostgreSQL server on this machine: of its
// processes that there are. Those that have ended are forgotten: ask while the
// connections of interest are open.
func serverCPU(ctx context.Context, url string) (total time.Duration, err error) {
	var folder string
	if err := ask(ctx, url, `SHOW data_directory`, &folder); err != nil {
		return 0, err
	}
	text, err := os.ReadFile(filepath.Join(folder, "postmaster.pid"))
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(text), "\n")
	master, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil {
		return 0, fmt.Errorf("postmaster.pid: %w", err)
	}
	children, err := childrenOf(master)
	if err != nil {
		return 0, err
	}
	for _, pid := range append(children, master) {
		if spent, err := lab.CPU(pid); err == nil { // else it has ended
			total += spent
		}
	}
	return total, nil
}

func childrenOf(parent int) (children []int, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", parent, parent))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("process %d: this system does not tell its children", parent)
	}
	if err != nil {
		return nil, err
	}
	for _, field := range strings.Fields(string(text)) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			return nil, err
		}
		children = append(children, pid)
	}
	return children, nil
}

// bundle is how many events C2SP tlog-tiles puts into one.
const bundle = 256

const newestBodies = `SELECT body FROM events ORDER BY sequence DESC LIMIT 2048` // eight bundles

// tileBytes is what an event takes in a gzipped bundle of a tile.
func (p *partition) tileBytes(ctx context.Context) (float64, error) {
	bodies, err := p.bodies(ctx)
	if err != nil {
		return 0, err
	}
	packed := 0
	for from := 0; from < len(bodies); from += bundle {
		var zipped bytes.Buffer
		w := gzip.NewWriter(&zipped)
		for _, body := range bodies[from:min(from+bundle, len(bodies))] {
			if _, err := w.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(body))), body...)); err != nil {
				return 0, err
			}
		}
		if err := w.Close(); err != nil {
			return 0, err
		}
		packed += zipped.Len()
	}
	return float64(packed) / float64(max(1, len(bodies))), nil
}

func (p *partition) bodies(ctx context.Context) (bodies [][]byte, err error) {
	if p.url != "" {
		conn, err := pgx.Connect(ctx, p.url)
		if err != nil {
			return nil, err
		}
		defer conn.Close(ctx)
		rows, err := conn.Query(ctx, newestBodies)
		if err != nil {
			return nil, err
		}
		return pgx.CollectRows(rows, pgx.RowTo[[]byte])
	}
	db, err := sql.Open("sqlite", "file:"+p.path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	rows, err := db.QueryContext(ctx, newestBodies)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var body []byte
		if err := rows.Scan(&body); err != nil {
			return nil, err
		}
		bodies = append(bodies, body)
	}
	return bodies, rows.Err()
}
