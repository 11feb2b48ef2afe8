package scenario

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"
	_ "modernc.org/sqlite"
)

// raw is a bare table with a key in a store of the kind that the IdP has: what
// the store itself takes, one writer, each transaction durable.
type raw struct {
	next int64
	body []byte
	conn *pgx.Conn // PostgreSQL
	db   *sql.DB   // SQLite
}

// rawBody is as long as a decision's event.
const rawBody = 520

// openRaw makes the table in the PostgreSQL database of that URL or, without
// one, in a SQLite file in the folder.
func openRaw(ctx context.Context, url, folder string) (w *raw, err error) {
	w = &raw{body: []byte(`{"text":"` + strings.Repeat("x", rawBody-11) + `"}`)}
	if url != "" {
		if w.conn, err = pgx.Connect(ctx, url); err != nil {
			return nil, err
		}
		_, err = w.conn.Exec(ctx, `CREATE TABLE raw (sequence bigint PRIMARY KEY, body bytea NOT NULL)`)
		return w, err
	}
	w.db, err = sql.Open("sqlite", "file:"+filepath.Join(folder, "raw.db")+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_txlock=immediate")
	if err != nil {
		return nil, err
	}
	w.db.SetMaxOpenConns(1)
	_, err = w.db.ExecContext(ctx, `CREATE TABLE raw (sequence INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT`)
	return w, err
}

// name of the subject that writes so many rows at once.
func (w *raw) name(rows int) string {
	switch {
	case rows == 1:
		return "insert"
	case w.conn != nil:
		return "copy"
	default:
		return "batch"
	}
}

// insert writes rows in one transaction.
func (w *raw) insert(ctx context.Context, rows int) error {
	first := w.next
	w.next += int64(rows)
	switch {
	case w.conn == nil:
		return w.batch(ctx, first, rows)
	case rows == 1:
		_, err := w.conn.Exec(ctx, `INSERT INTO raw (sequence, body) VALUES ($1, $2)`, first, w.body)
		return err
	default:
		copied, err := w.conn.CopyFrom(ctx, pgx.Identifier{"raw"}, []string{"sequence", "body"}, pgx.CopyFromSlice(rows, func(i int) ([]any, error) {
			return []any{first + int64(i), w.body}, nil
		}))
		if err == nil && copied != int64(rows) {
			err = fmt.Errorf("%d of %d rows copied", copied, rows)
		}
		return err
	}
}

func (w *raw) batch(ctx context.Context, first int64, rows int) error {
	tx, err := w.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // after Commit it does nothing
	insert, err := tx.PrepareContext(ctx, `INSERT INTO raw (sequence, body) VALUES (?1, ?2)`)
	if err != nil {
		return err
	}
	defer insert.Close()
	for i := range int64(rows) {
		if _, err := insert.ExecContext(ctx, first+i, w.body); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// close leaves the table to the laboratory, which removes it.
func (w *raw) close() {
	if w.conn != nil {
		_ = w.conn.Close(context.Background())
	}
	if w.db != nil {
		_ = w.db.Close()
	}
}
