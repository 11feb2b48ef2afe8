package agentidp

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// AuditEvent is one entry of the audit log.
type AuditEvent struct {
	EventID        string          `json:"eventId"`
	Sequence       int64           `json:"sequence"` // leaf index in the tree
	OrganizationID string          `json:"organizationId"`
	AgentID        string          `json:"agentId,omitempty"` // who acted
	Action         string          `json:"action"`            // token.issued
	Outcome        Outcome         `json:"outcome"`
	Reason         string          `json:"reason,omitempty"`
	IPAddress      string          `json:"ipAddress,omitempty"`
	UserAgent      string          `json:"userAgent,omitempty"`
	RequestID      string          `json:"requestId,omitempty"`
	Metadata       json.RawMessage `json:"metadata,omitempty"` // an object
	Timestamp      Time            `json:"timestamp"`
}

// Outcome is how what an event tells of ended.
type Outcome string

// The outcomes.
const (
	OutcomeSuccess Outcome = "success"
	OutcomeFailure Outcome = "failure"
	OutcomeDenied  Outcome = "denied"
)

// AuditList is one page of events, newest first.
type AuditList struct {
	Data       []AuditEvent `json:"data"`
	NextCursor string       `json:"nextCursor,omitempty"` // empty on the last page
	ScannedTo  *Time        `json:"scannedTo,omitempty"`  // as far as was looked, when a page ended before it was full
}

// InclusionProof proves that an event is in the log (RFC 6962 section 2.1.1). Hashes are base64.
type InclusionProof struct {
	LeafIndex int64    `json:"leafIndex"`
	TreeSize  int64    `json:"treeSize"`
	LeafHash  string   `json:"leafHash"`
	RootHash  string   `json:"rootHash"`
	Hashes    []string `json:"hashes"`
}

// ConsistencyProof proves that a later log extends an earlier one (RFC 6962 section 2.1.2).
type ConsistencyProof struct {
	FirstSize  int64    `json:"firstSize"`
	SecondSize int64    `json:"secondSize"`
	FirstRoot  string   `json:"firstRoot"`
	SecondRoot string   `json:"secondRoot"`
	Hashes     []string `json:"hashes"`
}

// EventFilter bounds a list of events; empty members do not.
type EventFilter struct {
	Search        string // text in any value; in the newest 5,000 that the rest leaves
	AgentID       string
	TargetAgentID string // what others did to this agent
	Action        string
	Outcome       Outcome
	From, To      time.Time // From and later, before To
}

func (f EventFilter) query() url.Values {
	query := set(url.Values{}, "q", f.Search, "agentId", f.AgentID, "targetAgentId", f.TargetAgentID, "action", f.Action, "outcome", string(f.Outcome))
	return span(query, f.From, f.To)
}

func span(query url.Values, from, to time.Time) url.Values {
	if !from.IsZero() {
		query.Set("from", from.UTC().Format(time.RFC3339Nano))
	}
	if !to.IsZero() {
		query.Set("to", to.UTC().Format(time.RFC3339Nano))
	}
	return query
}

// Events lists the audit log, newest first, page by page as it is consumed.
func (c *Client) Events(ctx context.Context, filter EventFilter) iter.Seq2[AuditEvent, error] {
	return cursors(func(cursor string) ([]AuditEvent, string, error) {
		list, err := c.EventPage(ctx, filter, cursor, pageSize)
		return list.Data, list.NextCursor, err
	})
}

// EventPage is one page of that list: after the cursor of the page before, of
// at most limit events (1 to 100; 0: 20).
func (c *Client) EventPage(ctx context.Context, filter EventFilter, cursor string, limit int) (list AuditList, err error) {
	query := Page{Limit: limit}.into(set(filter.query(), "cursor", cursor))
	err = c.do(ctx, get("/api/v1/audit", query), &list)
	return list, err
}

// tailBound is how many events one look may bring; more memory it does not take.
const tailBound = 10_000

// Tail follows the log: the last events that are there, oldest first, then new
// ones as they come, looked for at that interval, until ctx ends or an error
// does; the end of ctx is no error. More than 10,000 new events between two looks are one.
func (c *Client) Tail(ctx context.Context, filter EventFilter, last int, every time.Duration) iter.Seq2[AuditEvent, error] {
	return func(yield func(AuditEvent, error) bool) {
		after := int64(-1)
		for first := true; ; first = false {
			events, err := c.newer(ctx, filter, after, first, last)
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				yield(AuditEvent{}, err)
				return
			}
			for i, event := range events {
				after = max(after, event.Sequence)
				if first && i < len(events)-last {
					continue // only read to know where the log ends
				}
				if !yield(event, nil) {
					return
				}
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(every):
			}
		}
	}
}

// newer gives the events behind a sequence, oldest first; at the first look no
// more than last of them, but one, if there is one.
func (c *Client) newer(ctx context.Context, filter EventFilter, after int64, first bool, last int) ([]AuditEvent, error) {
	var events []AuditEvent
	for event, err := range c.Events(ctx, filter) {
		if err != nil {
			return nil, err
		}
		if event.Sequence <= after || first && len(events) >= max(last, 1) {
			break
		}
		if len(events) == tailBound {
			return nil, fmt.Errorf("agentidp: more than %d new events: follow the log with a filter, or export it", tailBound)
		}
		events = append(events, event)
	}
	slices.Reverse(events)
	return events, nil
}

// Event gets one event, and its leaf: the bytes that the tree hashes.
func (c *Client) Event(ctx context.Context, eventID string) (event AuditEvent, leaf []byte, err error) {
	if leaf, err = c.bytes(ctx, get("/api/v1/audit/"+segment(eventID), nil)); err != nil {
		return AuditEvent{}, nil, err
	}
	if err = json.Unmarshal(leaf, &event); err != nil {
		return AuditEvent{}, nil, fmt.Errorf("agentidp: event: %w", err)
	}
	return event, leaf, nil
}

// InclusionProof proves the event at a place. A treeSize of 0 is that of the
// latest checkpoint that holds it.
func (c *Client) InclusionProof(ctx context.Context, leafIndex, treeSize int64) (proof InclusionProof, err error) {
	query := url.Values{"leafIndex": {strconv.FormatInt(leafIndex, 10)}}
	if treeSize > 0 {
		query.Set("treeSize", strconv.FormatInt(treeSize, 10))
	}
	err = c.do(ctx, get("/api/v1/audit/proof/inclusion", query), &proof)
	return proof, err
}

// ConsistencyProof proves that the log of second events extends the one of first.
func (c *Client) ConsistencyProof(ctx context.Context, first, second int64) (proof ConsistencyProof, err error) {
	query := url.Values{"first": {strconv.FormatInt(first, 10)}, "second": {strconv.FormatInt(second, 10)}}
	err = c.do(ctx, get("/api/v1/audit/proof/consistency", query), &proof)
	return proof, err
}

// Checkpoint is the latest signed checkpoint, a C2SP note. Keep it elsewhere.
func (c *Client) Checkpoint(ctx context.Context) ([]byte, error) {
	do := get("/api/v1/audit/checkpoint", nil)
	do.accept = "text/plain"
	return c.bytes(ctx, do)
}
