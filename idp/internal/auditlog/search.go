package auditlog

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

// No index knows the words of an event. So a search looks at the newest events
// that the rest of the query leaves, so many a page, and says how far it got.
const (
	searchedEvents = 5000 // a page
	firstSearched  = 250  // what is asked for often is found at once
	mostSearched   = 1000 // at a time: store.EventFilter.Limit
)

// search is a page of the events that hold q.Text.
func (l *Log) search(ctx context.Context, filter store.EventFilter, q Query) (page Page, err error) {
	page.Data = []json.RawMessage{}
	words := newWords(q.Text)
	err = l.db.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		page.Data, page.NextCursor, page.ScannedTo = page.Data[:0], "", "" // fn may run again
		filter := filter
		filter.Limit = firstSearched
		for looked := 0; ; filter.Limit = mostSearched {
			rows, err := tx.Events.List(ctx, filter)
			if err != nil {
				return err
			}
			for i, row := range rows {
				page.ScannedTo, filter.Before = row.Timestamp.UTC().Format(idp.TimeLayout), row.Sequence
				if words.in(row.Body) {
					page.Data = append(page.Data, row.Body)
				}
				last := row.Sequence == 0 || i+1 == len(rows) && len(rows) < filter.Limit
				if last {
					return nil
				}
				if looked++; looked == searchedEvents || len(page.Data) == q.Limit {
					page.NextCursor = formatCursor(row.Sequence)
					return nil
				}
			}
			if len(rows) == 0 {
				return nil
			}
		}
	})
	return page, err
}

// words is a text that an event may hold: in a string or a number of it,
// whatever the member's name. ASCII letters match in either case.
type words struct {
	encoded []byte // in lower case, as JSON has it
	folded  []byte // room for a body in lower case
}

func newWords(text string) *words {
	lower := foldASCII(nil, []byte(text))
	encoded := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(string(lower)) // printable: RFC 8785 escapes no more
	return &words{encoded: []byte(encoded)}
}

func (w *words) in(body []byte) bool {
	w.folded = foldASCII(w.folded[:0], body)
	if !bytes.Contains(w.folded, w.encoded) {
		return false
	}
	var event map[string]json.RawMessage
	if json.Unmarshal(body, &event) != nil {
		return false
	}
	for _, value := range event {
		if w.inValue(value) {
			return true
		}
	}
	return false
}

func (w *words) inValue(raw json.RawMessage) bool {
	switch {
	case len(raw) == 0:
		return false
	case raw[0] == '{':
		var members map[string]json.RawMessage
		if json.Unmarshal(raw, &members) != nil {
			return false
		}
		for _, value := range members {
			if w.inValue(value) {
				return true
			}
		}
		return false
	case raw[0] == '[':
		var elements []json.RawMessage
		if json.Unmarshal(raw, &elements) != nil {
			return false
		}
		for _, value := range elements {
			if w.inValue(value) {
				return true
			}
		}
		return false
	case raw[0] == '"':
		raw = raw[1 : len(raw)-1]
	}
	return bytes.Contains(foldASCII(nil, raw), w.encoded)
}

func foldASCII(to, from []byte) []byte {
	for _, c := range from {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		to = append(to, c)
	}
	return to
}
