package revocation

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/sentryagent/agentidp/shared/feed"
)

// readBudget bounds a shared reading, which outlives the callers it began for.
const readBudget = 10 * time.Second

// reading is a page read and encoded once for every poll that waits at a cursor.
// All of it is shared: nobody changes it.
type reading struct {
	done  chan struct{} // closed when the rest is set
	page  *feed.Page
	body  []byte // page in JSON
	known bool   // false: the cursor cannot be continued
	err   error
}

// readings lets a signal that wakes a fleet cost one query, not one for each: who
// asks while the page is being read waits, with all who ask meanwhile, for the
// next reading. So nobody is told of a state older than the question. The zero
// value is ready.
type readings struct {
	mu   sync.Mutex             // guards next
	next map[int64]*readingTurn // by cursor; absent: nobody reads there
}

// readingTurn is a reading under way, and the one after it if somebody wants it.
type readingTurn struct{ next *reading }

// at waits for a reading that begins after the call.
func (r *readings) at(ctx context.Context, seq int64, read func(ctx context.Context, to *reading)) (*reading, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err() // not left to which case of the select is faster
	}
	wanted := r.want(context.WithoutCancel(ctx), seq, read)
	select {
	case <-wanted.done:
		return wanted, wanted.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (r *readings) want(ctx context.Context, seq int64, read func(context.Context, *reading)) *reading {
	r.mu.Lock()
	defer r.mu.Unlock()
	turn, busy := r.next[seq]
	if !busy {
		turn = &readingTurn{}
		if r.next == nil {
			r.next = map[int64]*readingTurn{}
		}
		r.next[seq] = turn
	}
	if turn.next == nil {
		turn.next = &reading{done: make(chan struct{})}
	}
	wanted := turn.next
	if !busy {
		go r.run(ctx, seq, turn, read)
	}
	return wanted
}

// run reads until nobody wants another reading.
func (r *readings) run(ctx context.Context, seq int64, turn *readingTurn, read func(context.Context, *reading)) {
	for {
		r.mu.Lock()
		now := turn.next
		if turn.next = nil; now == nil {
			delete(r.next, seq)
			r.mu.Unlock()
			return
		}
		r.mu.Unlock()
		once(ctx, now, read)
	}
}

// once answers everybody, whatever happens: a panic here is nobody's request, so
// the server would not catch it.
func once(ctx context.Context, now *reading, read func(context.Context, *reading)) {
	ctx, cancel := context.WithTimeout(ctx, readBudget)
	defer cancel()
	defer close(now.done)
	defer func() {
		if cause := recover(); cause != nil {
			now.err = fmt.Errorf("panic while the feed was read: %v", cause)
		}
	}()
	read(ctx, now)
}

// encodePage is the answer to a poll. HTML characters stay as they are.
func encodePage(page *feed.Page) ([]byte, error) {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(page); err != nil {
		return nil, fmt.Errorf("encode the feed: %w", err)
	}
	return bytes.TrimSuffix(buffer.Bytes(), []byte("\n")), nil
}
