package auditlog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

// ExportFormat is a form of an export.
type ExportFormat string

// The formats: NDJSON proves itself (see VerifyExport), CSV is for spreadsheets.
const (
	NDJSON ExportFormat = "ndjson"
	CSV    ExportFormat = "csv"
)

// ExportQuery says what to export.
type ExportQuery struct {
	Format ExportFormat
	Filter
}

const (
	exportPage   = 500 // events read at once: all that an export holds in memory
	exportStride = 12  // level of the subtrees without an event that are given at once: who waits for a rare one sees that it goes on
)

// Export gives a part of the log up to a checkpoint, piece by piece. One
// goroutine at a time may use it.
type Export struct {
	db         store.DB
	query      ExportQuery
	sieve      sieve
	checkpoint store.Checkpoint
	render     renderer
	begun      bool
	scan       int64 // the next sequence to read
	end        int64 // nothing from here on is of the range
	position   int64 // leaves that the pieces so far account for
	events     int64
}

// Export begins an export of the log up to the latest stored checkpoint. It is
// itself an event of the log: event, to which format, filter and size are added,
// is durable when Export returns.
func (l *Log) Export(ctx context.Context, q ExportQuery, event idp.Event) (*Export, error) {
	q.From, q.To = wholeMillisecond(q.From), wholeMillisecond(q.To)
	e := &Export{db: l.db, query: q, sieve: q.sieve(), render: renderNDJSON}
	if q.Format == CSV {
		e.render = renderCSV
	}
	err := l.db.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		if e.checkpoint, err = latestCheckpoint(ctx, tx); err != nil {
			return err
		}
		first, end, err := tx.Events.Window(ctx, q.From, q.To)
		e.scan, e.end = min(first, e.checkpoint.Size), min(end, e.checkpoint.Size)
		return err
	})
	if err != nil {
		return nil, readError(err)
	}
	metadata := map[string]any{"format": string(q.Format), "size": e.checkpoint.Size}
	for name, value := range event.Metadata {
		metadata[name] = value
	}
	for name, value := range e.header().narrowed() {
		if value != "" {
			metadata[name] = value
		}
	}
	event.Action, event.Outcome, event.Metadata = idp.ActionAuditExported, idp.Success, metadata
	if err := l.Append(ctx, event); err != nil {
		return nil, err
	}
	return e, nil
}

// wholeMillisecond is the first one that is not before at: events have no finer time.
func wholeMillisecond(at time.Time) time.Time {
	if at.IsZero() {
		return at
	}
	return at.UTC().Add(time.Millisecond - time.Nanosecond).Truncate(time.Millisecond)
}

// Size is the number of events under the export's checkpoint.
func (e *Export) Size() int64 { return e.checkpoint.Size }

// Events is how many events the pieces so far hold.
func (e *Export) Events() int64 { return e.events }

// Position is how many events of the log the pieces so far account for.
func (e *Export) Position() int64 { return e.position }

// Next returns the next piece, which may be empty; io.EOF after the last. After
// any other error the export is over, and what was written of it incomplete.
func (e *Export) Next(ctx context.Context) ([]byte, error) {
	if !e.begun {
		e.begun = true
		return e.render(e.header(), nil)
	}
	if e.position == e.checkpoint.Size {
		return nil, io.EOF
	}
	var page exportedPage
	err := e.db.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		page, err = e.read(ctx, tx)
		return err
	})
	if err != nil {
		return nil, readError(err)
	}
	piece, err := e.render(nil, page.items)
	if err != nil {
		return nil, err
	}
	e.scan, e.position, e.events = page.scan, page.position, e.events+page.events
	return piece, nil
}

// item is one line of an export: an event, or the hash of a subtree without one.
type item struct {
	body    []byte // of an event
	subtree *exportSubtree
}

// exportedPage is what a page of events adds to an export.
type exportedPage struct {
	items    []item
	scan     int64
	position int64
	events   int64
}

func (p *exportedPage) event(row store.EventRow) {
	p.items = append(p.items, item{body: row.Body})
	p.position, p.events = row.Sequence+1, p.events+1
}

// skip accounts for the leaves before end by the largest complete subtrees that
// hold nothing else (RFC 6962 section 2.1).
func (p *exportedPage) skip(end int64) {
	for p.position < end {
		level := 0
		for p.position>>level&1 == 0 && p.position+1<<(level+1) <= end {
			level++
		}
		p.items = append(p.items, item{subtree: &exportSubtree{Level: level, Index: p.position >> level}})
		p.position += 1 << level
	}
}

func (e *Export) read(ctx context.Context, tx *store.Tx) (exportedPage, error) {
	page := exportedPage{scan: e.scan, position: e.position}
	rows, err := tx.Events.Range(ctx, e.query.OrganizationID, e.scan, exportPage)
	if err != nil {
		return page, fmt.Errorf("events: %w", err)
	}
	for _, row := range rows {
		if row.Sequence >= e.end {
			break
		}
		page.scan = row.Sequence + 1
		if e.sieve.holds(&row) {
			page.skip(row.Sequence)
			page.event(row)
		}
	}
	if last := len(rows) - 1; len(rows) < exportPage || rows[last].Sequence >= e.end-1 {
		page.skip(e.checkpoint.Size)
	} else {
		page.skip(page.scan >> exportStride << exportStride)
	}
	if e.query.Format == CSV {
		return page, nil
	}
	return page, page.hash(ctx, tx)
}

// hash looks up the hashes of the page's subtrees.
func (p *exportedPage) hash(ctx context.Context, tx *store.Tx) error {
	var indexes []int64
	for _, i := range p.items {
		if i.subtree != nil {
			indexes = append(indexes, tlog.StoredHashIndex(i.subtree.Level, i.subtree.Index))
		}
	}
	if len(indexes) == 0 {
		return nil
	}
	hashes, err := tx.Tree.Hashes(ctx, indexes)
	if errors.Is(err, idp.ErrNotFound) {
		return damaged(err)
	}
	if err != nil {
		return fmt.Errorf("tree: %w", err)
	}
	for _, i := range p.items {
		if i.subtree != nil {
			i.subtree.Hash, hashes = hashes[0], hashes[1:]
		}
	}
	return nil
}
