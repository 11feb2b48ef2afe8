package revocation

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/registry"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/shared/feed"
)

const (
	// pageSize bounds the entries of one page; a reader that is further behind asks again at once.
	pageSize = 1000
	// snapshotAge is how long a snapshot is given out while nothing was revoked.
	snapshotAge = 30 * time.Second
)

// Result is one answer of the feed: a page or a snapshot. Polls at one cursor
// share it: nobody changes it.
type Result struct {
	Page     *feed.Page // what happened after the caller's cursor
	Body     []byte     // Page in JSON
	Snapshot string     // compact JWS of a feed.Snapshot, replacing all the caller has
}

// Poll answers what happened after a cursor, waiting up to wait for something
// to happen. Without a cursor, or with one that this feed did not give or has
// pruned past, the answer is a snapshot, at once. A caller that leaves, ctx
// cancelled, gets an empty page; a ctx past its deadline is a 503, because then
// nobody knows whether there was news.
func (s *Service) Poll(ctx context.Context, after string, wait time.Duration) (Result, error) {
	if after == "" {
		return s.snapshotFrom(ctx)
	}
	cursor, err := feed.ParseCursor(after)
	if err != nil {
		return Result{}, apierr.Invalid(apierr.Field{Field: "after", Rule: feed.ErrCursor.Error()})
	}
	if cursor.Epoch != s.epoch {
		return s.snapshotFrom(ctx)
	}
	changed, stop := s.db.Watch() // before the first read: nothing can fall between
	defer stop()
	told, leave := s.bus.Subscribe(Topic)
	defer leave()
	timer := time.NewTimer(min(max(wait, 0), feed.MaxWait*time.Second))
	defer timer.Stop()
	for last := wait <= 0; ; {
		read, err := s.reads.at(ctx, cursor.Seq, func(ctx context.Context, to *reading) { s.read(ctx, cursor, to) })
		switch {
		case errors.Is(ctx.Err(), context.Canceled):
			return s.nothing(cursor)
		case err != nil:
			return Result{}, registry.StoreError(err)
		case !read.known:
			return s.snapshotFrom(ctx)
		case last || len(read.page.Entries) > 0:
			return Result{Page: read.page, Body: read.body}, nil
		}
		select {
		case <-changed:
		case <-told:
		case <-timer.C:
			last = true // one more read, so that a lost signal costs a wait, not a revocation
		case <-ctx.Done(): // the next read says how it ended
		}
	}
}

func (s *Service) empty(cursor feed.Cursor) *feed.Page {
	return &feed.Page{Epoch: s.epoch, Cursor: cursor.String(), Entries: []feed.Entry{}}
}

// nothing is the answer to a caller that left.
func (s *Service) nothing(cursor feed.Cursor) (Result, error) {
	page := s.empty(cursor)
	body, err := encodePage(page)
	return Result{Page: page, Body: body}, err
}

// read reads a page for all who wait for it.
func (s *Service) read(ctx context.Context, cursor feed.Cursor, to *reading) {
	if to.page, to.known, to.err = s.page(ctx, cursor); to.err == nil {
		to.body, to.err = encodePage(to.page)
	}
}

// page reads what follows the cursor; known is false for a cursor that cannot be continued.
func (s *Service) page(ctx context.Context, cursor feed.Cursor) (page *feed.Page, known bool, err error) {
	page = s.empty(cursor)
	err = s.view(ctx, func(ctx context.Context, tx *store.Tx) error {
		last, pruned, err := tx.Revocations.Bounds(ctx)
		if err != nil {
			return err
		}
		// Past the last: the store is older than the caller, restored from a backup.
		if known = cursor.Seq >= pruned && cursor.Seq <= last; !known || cursor.Seq == last {
			return nil
		}
		found, err := tx.Revocations.Since(ctx, cursor.Seq, pageSize)
		for i := range found {
			page.Entries = append(page.Entries, wire(&found[i]))
			page.Cursor = feed.Cursor{Epoch: s.epoch, Seq: found[i].Seq}.String()
		}
		return err
	})
	return page, known, err
}

func wire(r *idp.Revocation) feed.Entry {
	e := feed.Entry{
		Seq: r.Seq, Type: string(r.Type), ID: r.ID, Epoch: r.Epoch, Reason: r.Reason, At: r.At.Format(idp.TimeLayout),
	}
	if !r.Expires.IsZero() {
		e.Exp = r.Expires.Unix()
	}
	return e
}

// entries visits the whole feed as far as it is not pruned.
func entries(ctx context.Context, tx *store.Tx, visit func(*idp.Revocation)) error {
	for after := int64(0); ; {
		found, err := tx.Revocations.Since(ctx, after, pageSize)
		if err != nil {
			return err
		}
		for i := range found {
			visit(&found[i])
		}
		if len(found) < pageSize {
			return nil
		}
		after = found[len(found)-1].Seq
	}
}

// snapshots keeps the last signed snapshot, so that a fleet that connects at
// once costs one signature.
type snapshots struct {
	turn   chan struct{} // one token; who has it may touch what follows
	seq    int64
	kid    string // of the key that signed
	made   time.Time
	signed string
}

func newSnapshots() snapshots {
	turn := make(chan struct{}, 1)
	turn <- struct{}{}
	return snapshots{turn: turn}
}

func (s *Service) snapshotFrom(ctx context.Context) (Result, error) {
	var last int64
	err := s.view(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		last, _, err = tx.Revocations.Bounds(ctx)
		return err
	})
	if err != nil {
		return Result{}, err
	}
	cache := &s.snapshot
	select {
	case <-cache.turn:
	case <-ctx.Done():
		return Result{}, apierr.New(apierr.Unavailable, "the snapshot was not ready in time").
			WithReason("snapshot_timeout").WithRetryAfter(time.Second).WithCause(ctx.Err())
	}
	defer func() { cache.turn <- struct{}{} }()
	now, kid := s.now(), s.signer.ActiveKID()
	if age := now.Sub(cache.made); cache.signed == "" || cache.seq < last || cache.kid != kid || age < 0 || age >= snapshotAge {
		if cache.seq, cache.signed, err = s.sign(ctx, now); err != nil {
			cache.signed = ""
			return Result{}, err
		}
		cache.made, cache.kid = now, kid // a key that came in between costs one more signature
	}
	return Result{Snapshot: cache.signed}, nil
}

// sign reads every live entry and signs it. An entry of a token that no
// verifier accepts any more is left out.
func (s *Service) sign(ctx context.Context, now time.Time) (seq int64, signed string, err error) {
	snapshot := feed.Snapshot{Issuer: s.issuer, IssuedAt: now.Unix(), Epoch: s.epoch, Entries: []feed.Entry{}}
	err = s.view(ctx, func(ctx context.Context, tx *store.Tx) error {
		if seq, _, err = tx.Revocations.Bounds(ctx); err != nil {
			return err
		}
		return entries(ctx, tx, func(r *idp.Revocation) {
			if r.Type != idp.RevokeJTI || now.Before(r.Expires.Add(s.leeway)) {
				snapshot.Entries = append(snapshot.Entries, wire(r))
			}
		})
	})
	if err != nil {
		return 0, "", err
	}
	snapshot.Cursor = feed.Cursor{Epoch: s.epoch, Seq: seq}.String()
	payload, err := json.Marshal(snapshot)
	if err != nil {
		return 0, "", errors.Join(errors.New("encode snapshot"), err)
	}
	signed, err = s.signer.Sign(ctx, feed.SnapshotType, payload)
	return seq, signed, err
}
