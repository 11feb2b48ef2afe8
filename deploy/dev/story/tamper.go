package story

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
	_ "modernc.org/sqlite" // the story plays the insider who edits the database file
)

// verifyValid stops everything first: verification opens the store itself.
func (p *play) verifyValid(ctx context.Context) (string, error) {
	for _, stop := range []func() error{p.StopSidecar, p.StopIdP} {
		if err := stop(); err != nil {
			return "", err
		}
	}
	printed, err := p.agentidp(ctx, p.IdPDir(), "audit", "verify", "--offline")
	line, _, _ := strings.Cut(printed, "\n")
	return line, err
}

// verifyTampered edits copies of the data folder as somebody with access to
// the database would, and wants each edit to be found and named.
func (p *play) verifyTampered(ctx context.Context) (string, error) {
	var found []string
	for _, edit := range []struct {
		name  string
		do    func(ctx context.Context, db *sql.DB) error
		found string
	}{
		{"one byte", changeByte, "changed"},
		{"one row", removeRow, "missing"},
		{"the tail", cutTail, "tail"},
		{"the whole tree", recompute, "recomputed"},
	} {
		dir := filepath.Join(p.Dir, "tampered-"+strings.ReplaceAll(edit.name, " ", "-"))
		if err := os.CopyFS(dir, os.DirFS(p.IdPDir())); err != nil {
			return "", fmt.Errorf("copy the data: %w", err)
		}
		if err := os.Chmod(filepath.Join(dir, "master.key"), 0o600); err != nil {
			return "", fmt.Errorf("copy the data: %w", err)
		}
		if err := tamper(ctx, filepath.Join(dir, "agentidp.db"), edit.do); err != nil {
			return "", fmt.Errorf("%s: %w", edit.name, err)
		}
		printed, err := p.agentidp(ctx, dir, "audit", "verify", "--offline")
		if err == nil || !strings.Contains(printed, "NOT VALID") || !strings.Contains(printed, edit.found) {
			return "", fmt.Errorf("%s was not found: %s", edit.name, printed)
		}
		line, _, _ := strings.Cut(printed, "\n")
		found = append(found, edit.name+": "+line)
	}
	return strings.Join(found, "\n          "), nil
}

// tamper opens the database file and takes away the triggers that refuse edits.
func tamper(ctx context.Context, path string, edit func(context.Context, *sql.DB) error) error {
	db, err := sql.Open("sqlite", path)
	if err != nil {
		return err
	}
	defer db.Close() //nolint:errcheck // a copy that is thrown away
	rows, err := db.QueryContext(ctx, "SELECT name FROM sqlite_master WHERE type = 'trigger'")
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // read to the end
	var triggers []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return err
		}
		triggers = append(triggers, name)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for _, name := range triggers {
		if _, err := db.ExecContext(ctx, `DROP TRIGGER "`+name+`"`); err != nil {
			return err
		}
	}
	return edit(ctx, db)
}

// victim is the event that is attacked: an early one, so that much follows it.
const victim = 5

func changeByte(ctx context.Context, db *sql.DB) error {
	return execute(ctx, db, `UPDATE events SET body = CAST(replace(CAST(body AS TEXT), '"metadata":{"', '"metadata":{"X') AS BLOB) WHERE sequence = ?`, victim)
}

func removeRow(ctx context.Context, db *sql.DB) error {
	return execute(ctx, db, `DELETE FROM events WHERE sequence = ?`, victim)
}

// cutTail removes the last events and every trace of them in the database; the
// checkpoint copy beside it still knows.
func cutTail(ctx context.Context, db *sql.DB) error {
	if err := execute(ctx, db, `DELETE FROM events WHERE sequence >= (SELECT size FROM tree_head) - 10`); err != nil {
		return err
	}
	if err := execute(ctx, db, `DELETE FROM checkpoints WHERE size > (SELECT count(*) FROM events)`); err != nil {
		return err
	}
	return replaceTree(ctx, db)
}

// recompute changes an event and then the whole tree to fit.
func recompute(ctx context.Context, db *sql.DB) error {
	if err := changeByte(ctx, db); err != nil {
		return err
	}
	return replaceTree(ctx, db)
}

func execute(ctx context.Context, db *sql.DB, query string, args ...any) error {
	result, err := db.ExecContext(ctx, query, args...)
	if err != nil {
		return err
	}
	changed, err := result.RowsAffected()
	if err == nil && changed == 0 {
		err = fmt.Errorf("nothing was changed by %s", query)
	}
	return err
}

const hashesPerChunk = 64 // as the store keeps them

func replaceTree(ctx context.Context, db *sql.DB) error {
	hashes, size, err := treeOf(ctx, db)
	if err != nil {
		return err
	}
	if err := execute(ctx, db, `DELETE FROM tree_hashes`); err != nil {
		return err
	}
	for first := 0; first < len(hashes); first += hashesPerChunk {
		var chunk []byte
		for _, h := range hashes[first:min(len(hashes), first+hashesPerChunk)] {
			chunk = append(chunk, h[:]...)
		}
		if err := execute(ctx, db, `INSERT INTO tree_hashes (chunk, hashes) VALUES (?, ?)`, first/hashesPerChunk, chunk); err != nil {
			return err
		}
	}
	return execute(ctx, db, `UPDATE tree_head SET size = ?`, size)
}

// treeOf computes the hashes of a tree over the events as they now are.
func treeOf(ctx context.Context, db *sql.DB) (hashes []tlog.Hash, size int64, err error) {
	rows, err := db.QueryContext(ctx, `SELECT body FROM events ORDER BY sequence`)
	if err != nil {
		return nil, 0, err
	}
	defer rows.Close() //nolint:errcheck // read to the end
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			out[i] = hashes[index]
		}
		return out, nil
	})
	for rows.Next() {
		var body []byte
		if err := rows.Scan(&body); err != nil {
			return nil, 0, err
		}
		more, err := tlog.StoredHashes(size, body, reader)
		if err != nil {
			return nil, 0, err
		}
		hashes, size = append(hashes, more...), size+1
	}
	return hashes, size, rows.Err()
}
