package syncer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/sentryagent/agentidp/shared/feed"
	"github.com/sentryagent/agentidp/shared/token"
)

const (
	feedPath   = "/api/v1/revocations"
	pruneEvery = time.Minute
	// shortest is the least time between two polls that brought nothing: an
	// answer that does not wait must not become a loop.
	shortest = 200 * time.Millisecond
)

// follower reads the revocation feed by long poll. It is one goroutine.
type follower struct {
	caller      *caller
	keys        *Keys
	revocations *Revocations
	journal     *journal
	opts        Options
	log         *slog.Logger
	trouble     trouble
	pruned      time.Time
	restarts    int // in a row

	unknown *metrics.Counter
}

func newFollower(c *caller, k *Keys, r *Revocations, opts Options) (*follower, error) {
	j, err := openJournal(opts.DataDir, opts.Issuer, r)
	if err != nil {
		return nil, err
	}
	return &follower{
		caller: c, keys: k, revocations: r, journal: j, opts: opts, log: opts.Logger,
		unknown: opts.Metrics.NewCounter("sidecar_revocation_unknown_entries_total"),
	}, nil
}

func (f *follower) run(ctx context.Context) {
	p := pace{least: 500 * time.Millisecond, most: 10 * time.Second}
	wait := time.Duration(0) // the first answer is wanted at once
	for ctx.Err() == nil {
		began := time.Now()
		news, err := f.poll(ctx, wait)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			f.trouble.set(err)
			pause := p.bad(err)
			f.log.Warn("the revocation feed does not answer", "error", err, "retryIn", pause)
			wait = 0
			if !sleep(ctx, pause) {
				return
			}
			continue
		}
		p.good()
		f.trouble.clear()
		f.tidy()
		if took := time.Since(began); !news && wait > 0 && took < shortest && !sleep(ctx, shortest-took) {
			return
		}
		if wait > 0 && f.revocations.Stale() {
			wait = 0 // the clock jumped: requests are refused until the next answer
		} else {
			wait = f.opts.PollWait
		}
	}
}

// poll asks once. news: there was some, and there may be more.
func (f *follower) poll(ctx context.Context, wait time.Duration) (news bool, err error) {
	cursor := f.revocations.position()
	query := url.Values{"wait": {strconv.Itoa(int(wait / time.Second))}}
	if cursor != "" {
		query.Set("after", cursor)
	}
	ctx, cancel := context.WithTimeout(ctx, wait+answerTime)
	defer cancel()
	header := map[string]string{"Accept": "application/json, " + feed.SnapshotMediaType}
	limit := int64(maxPage)
	if cursor == "" {
		limit = maxSnapshot
	}
	a, err := f.caller.do(ctx, http.MethodGet, feedPath+"?"+query.Encode(), nil, header, limit)
	if err != nil {
		return false, err
	}
	at := f.opts.Now()
	switch {
	case a.status == http.StatusBadRequest && cursor != "":
		return true, f.restart(fmt.Errorf("the cursor is refused: %w", refused(a)))
	case a.status != http.StatusOK:
		return false, refused(a)
	case a.media() == feed.SnapshotMediaType:
		return true, f.snapshot(ctx, a.body, at)
	}
	return f.page(a.body, cursor, at)
}

// restart forgets the cursor, so that the next poll asks for a snapshot. What
// is known stays in force until that came. A second one in a row is an error:
// an IdP that contradicts itself is not asked in a loop.
func (f *follower) restart(why error) error {
	f.log.Warn("the revocation feed begins anew", "reason", why)
	f.restarts++
	f.revocations.mu.Lock()
	defer f.revocations.mu.Unlock()
	f.revocations.cursor = ""
	if f.restarts > 1 {
		return fmt.Errorf("revocation feed: it begins anew again and again: %w", why)
	}
	return nil
}

// page takes in what happened after the cursor.
func (f *follower) page(body []byte, cursor string, at time.Time) (news bool, err error) {
	var page feed.Page
	if err := json.Unmarshal(body, &page); err != nil {
		return false, fmt.Errorf("revocation feed: %w", err)
	}
	before, err := feed.ParseCursor(cursor)
	if err != nil {
		return true, f.restart(err)
	}
	after, err := feed.ParseCursor(page.Cursor)
	if err != nil {
		return false, fmt.Errorf("revocation feed: %w", err)
	}
	if after.Epoch != before.Epoch || page.Epoch != before.Epoch || after.Seq < before.Seq {
		return true, f.restart(fmt.Errorf("it went from %s to %s", before, after))
	}
	last := before.Seq
	for i := range page.Entries {
		if page.Entries[i].Seq <= last || page.Entries[i].Seq > after.Seq {
			return true, f.restart(fmt.Errorf("entry %d is out of order", page.Entries[i].Seq))
		}
		last = page.Entries[i].Seq
	}
	f.count(f.revocations.apply(page.Entries, page.Cursor, at))
	f.restarts = 0
	for i := range page.Entries {
		f.log.Info("revoked", "type", page.Entries[i].Type, "id", page.Entries[i].ID, "reason", page.Entries[i].Reason)
	}
	// In force first, on disk next: the cursor is acknowledged only after both.
	if err := f.journal.note(page.Entries, page.Cursor, at); err != nil {
		f.log.Error("revocations cannot be kept", "error", err)
	}
	return len(page.Entries) > 0, nil
}

func (f *follower) count(unknown int) {
	if unknown > 0 {
		f.unknown.Add(unknown)
		f.log.Error("the feed has entries of a type that this version does not know; they are not in force here", "entries", unknown)
	}
}

// snapshot verifies and takes in a signed snapshot.
func (f *follower) snapshot(ctx context.Context, body []byte, at time.Time) error {
	raw := string(body)
	payload, kid, err := token.VerifyJWS(raw, feed.SnapshotType, f.keys, maxSnapshot)
	if errors.Is(err, token.ErrUnknownKey) {
		if named, ok := signer(raw); ok && f.keys.Refetch(ctx, named) {
			payload, kid, err = token.VerifyJWS(raw, feed.SnapshotType, f.keys, maxSnapshot)
		}
	}
	if err != nil {
		return fmt.Errorf("revocation snapshot: %w", err)
	}
	head, entries, unknown, err := readSnapshot(payload)
	if err != nil {
		return fmt.Errorf("revocation snapshot: %w", err)
	}
	if err := f.judge(head, entries, kid, at); err != nil {
		return fmt.Errorf("revocation snapshot: %w", err)
	}
	f.count(unknown)
	// Contact counts from when the snapshot was made: it may have been kept for us.
	f.revocations.replace(entries, head.Cursor, earlier(time.Unix(head.IssuedAt, 0).Add(time.Second), at))
	f.restarts = 0
	f.log.Info("revocations replaced by a snapshot", "entries", entries.count(), "cursor", head.Cursor)
	if err := f.journal.rewrite(f.revocations); err != nil {
		f.log.Error("revocations cannot be kept", "error", err)
	}
	return nil
}

// judge decides whether a snapshot that is signed well may replace what we know.
func (f *follower) judge(head feed.Snapshot, entries revoked, kid string, at time.Time) error {
	cursor, err := feed.ParseCursor(head.Cursor)
	if err != nil {
		return err
	}
	_, condemned := entries.keys[kid]
	skew := at.Sub(time.Unix(head.IssuedAt, 0)).Abs()
	switch {
	case head.Issuer != f.opts.Issuer:
		return fmt.Errorf("it is of issuer %.200q", head.Issuer)
	case cursor.Epoch != head.Epoch:
		return errors.New("its cursor is of another feed")
	case skew > f.opts.RevocationMaxStale:
		return fmt.Errorf("it was issued %s from now: replayed, or a clock is wrong", skew)
	case condemned || f.revocations.revokedKey(kid):
		return errors.New("its key is revoked")
	}
	return nil
}

// tidy prunes and compacts now and then.
func (f *follower) tidy() {
	if now := f.opts.Now(); now.Sub(f.pruned).Abs() >= pruneEvery {
		f.pruned = now
		f.revocations.prune()
	}
	if f.journal.due() && f.revocations.position() != "" {
		if err := f.journal.rewrite(f.revocations); err != nil {
			f.log.Error("revocations cannot be kept", "error", err)
		}
	}
}
