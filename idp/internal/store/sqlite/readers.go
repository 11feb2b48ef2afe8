package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"sync"
)

// errUnsound marks a session whose transaction did not end; it is not used again.
var errUnsound = errors.New("connection in an unknown state")

// readers is the pool of read-only sessions. Connections are opened when more
// views run at once than ever before, and the last used is used first, so that
// a quiet store holds few caches.
type readers struct {
	db      *sql.DB
	pragmas []pragma
	permits chan struct{} // one per session in use
	closing chan struct{} // closed when no new view may begin
	mu      sync.Mutex    // guards idle
	idle    []*session
}

func newReaders(path string, pragmas []pragma, limit int, closing chan struct{}) *readers {
	return &readers{db: openDB(path, pragmas, limit), pragmas: pragmas, permits: make(chan struct{}, limit), closing: closing}
}

// with lends a session to fn; it waits for one until ctx ends. A session is
// used again unless fn panics or its error is errUnsound.
func (r *readers) with(ctx context.Context, fn func(context.Context, *session) error) (err error) {
	select {
	case r.permits <- struct{}{}:
		defer func() { <-r.permits }()
	case <-r.closing:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	s, err := r.take(ctx)
	if err != nil {
		return translate(err)
	}
	sound := false
	defer func() {
		if sound {
			r.put(s)
		} else {
			err = errors.Join(err, s.close())
		}
	}()
	err = fn(ctx, s)
	sound = !errors.Is(err, errUnsound)
	return err
}

func (r *readers) take(ctx context.Context) (*session, error) {
	if s := r.pop(); s != nil {
		return s, nil
	}
	return newSession(ctx, r.db, r.pragmas)
}

func (r *readers) pop() *session {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := len(r.idle) - 1
	if last < 0 {
		return nil
	}
	s := r.idle[last]
	r.idle = r.idle[:last]
	return s
}

func (r *readers) put(s *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.idle = append(r.idle, s)
}

// close waits for the sessions that are lent out.
func (r *readers) close() error {
	for range cap(r.permits) {
		r.permits <- struct{}{}
	}
	var problems []error
	for s := r.pop(); s != nil; s = r.pop() {
		problems = append(problems, s.close())
	}
	return errors.Join(append(problems, r.db.Close())...)
}
