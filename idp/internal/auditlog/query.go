package auditlog

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/apierr"
)

// Query asks for a page of events, newest first.
type Query struct {
	Filter
	Cursor string // NextCursor of the page before
	Limit  int    // 1..1000
}

// Page is a page of events in their canonical bytes.
type Page struct {
	Data       []json.RawMessage `json:"data"`
	NextCursor string            `json:"nextCursor,omitempty"` // empty on the last page
	// ScannedTo is of a search for Text the time of the last event it looked at:
	// it ends a page after so many, found or not. Empty when there was none.
	ScannedTo string `json:"scannedTo,omitempty"`
}

const cursorPrefix = "s"

// List answers a query. Pages stay stable while events are appended.
func (l *Log) List(ctx context.Context, q Query) (Page, error) {
	before, err := parseCursor(q.Cursor)
	if err != nil {
		return Page{}, err
	}
	filter := store.EventFilter{
		OrganizationID: q.OrganizationID, AgentID: q.AgentID, TargetAgentID: q.TargetAgentID, Action: q.Action, Outcome: q.Outcome,
		From: q.From, To: q.To, Before: before, Limit: q.Limit + 1,
	}
	if q.Text != "" {
		page, err := l.search(ctx, filter, q)
		if err != nil {
			return Page{}, readError(err)
		}
		return page, nil
	}
	var rows []store.EventRow
	err = l.db.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		rows, err = tx.Events.List(ctx, filter)
		return err
	})
	if err != nil {
		return Page{}, readError(err)
	}
	page := Page{Data: []json.RawMessage{}}
	if len(rows) > q.Limit {
		rows = rows[:q.Limit]
		page.NextCursor = formatCursor(rows[q.Limit-1].Sequence)
	}
	for _, row := range rows {
		page.Data = append(page.Data, row.Body)
	}
	return page, nil
}

// A cursor is opaque to callers: base64url of the lowest sequence seen.
func formatCursor(sequence int64) string {
	return base64.RawURLEncoding.EncodeToString([]byte(cursorPrefix + strconv.FormatInt(sequence, 10)))
}

func parseCursor(cursor string) (int64, error) {
	if cursor == "" {
		return 0, nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	digits, found := strings.CutPrefix(string(raw), cursorPrefix)
	sequence, parseErr := strconv.ParseInt(digits, 10, 64)
	if err != nil || !found || parseErr != nil || sequence < 1 || formatCursor(sequence) != cursor {
		return 0, apierr.Invalid(apierr.Field{Field: "cursor", Rule: "must be a nextCursor as an earlier page gave it"})
	}
	return sequence, nil
}

// Get returns one event in its canonical bytes.
func (l *Log) Get(ctx context.Context, organizationID, eventID string) (json.RawMessage, error) {
	var row store.EventRow
	err := l.db.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		row, err = tx.Events.Get(ctx, organizationID, eventID)
		return err
	})
	if err != nil {
		return nil, readError(err)
	}
	return row.Body, nil
}

func readError(err error) error {
	var refusal *apierr.Error
	switch {
	case errors.As(err, &refusal):
		return err
	case errors.Is(err, idp.ErrNotFound):
		return apierr.New(apierr.NotFound, "no such event").WithReason("not_found")
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return apierr.New(apierr.StoreUnavailable, "the store cannot be read now").WithReason("store_unavailable").WithRetryAfter(retryAfter).WithCause(err)
	default:
		return apierr.From(err)
	}
}
