package statuslist

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/sentryagent/agentidp/shared/apierr"
)

// Document is a signed list as it is served.
type Document struct {
	Body   []byte // a compact JWS; nobody changes it
	ETag   string
	MaxAge time.Duration // how long it may be kept
}

// published is a list's last document, and the turn to make the next: requests
// cannot make it be signed more often than Options.Every.
type published struct {
	last atomic.Pointer[edition]
	turn chan struct{} // one element
}

// edition is a document and what it was made from.
type edition struct {
	document Document
	kid      string
	version  uint64
	issued   time.Time // iat: up to here every revocation is in it
	made     time.Time // monotonic
}

func (e *edition) expires() time.Time { return e.issued.Add(lifetime) }

// List is the list with an id, as it is now or was Options.Every ago. One that
// cannot hold a live token is NOT_FOUND. While the feed cannot be followed the
// last document is served until it expires; then the answer is a 503.
func (l *Lists) List(ctx context.Context, id int64) (Document, error) {
	served, err := l.serves(ctx, id)
	if err != nil {
		return Document{}, err
	}
	if !served {
		return Document{}, apierr.New(apierr.NotFound, "no such status list").WithReason("status_list_not_found")
	}
	p := l.publication(id)
	if e := p.last.Load(); e != nil && l.good(id, e) {
		return l.serve(e)
	}
	select {
	case <-p.turn:
	case <-ctx.Done():
		return Document{}, apierr.New(apierr.Unavailable, "the status list was not ready in time").
			WithReason("status_list_timeout").WithRetryAfter(time.Second).WithCause(ctx.Err())
	}
	defer func() { p.turn <- struct{}{} }()
	if e := p.last.Load(); e != nil && l.good(id, e) { // another caller made it meanwhile
		return l.serve(e)
	}
	e, err := l.make(ctx, id)
	if err != nil {
		return Document{}, err
	}
	p.last.Store(e)
	return l.serve(e)
}

func (l *Lists) publication(id int64) *published {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.published[id]
	if p == nil {
		p = &published{turn: make(chan struct{}, 1)}
		p.turn <- struct{}{}
		l.published[id] = p
	}
	return p
}

// good reports an edition that need not be made anew: it was just made, or a new
// one would say the same.
func (l *Lists) good(id int64, e *edition) bool {
	now := l.Now()
	if time.Since(e.made) < l.Every && now.Before(e.expires()) {
		return true
	}
	version, synced := l.dead.at(id)
	if e.kid != l.Signer.ActiveKID() || e.version != version {
		return false
	}
	return now.Before(e.issued.Add(renewAt)) || !synced.After(e.issued)
}

// serve gives an edition out unless it has expired.
func (l *Lists) serve(e *edition) (Document, error) {
	left := e.expires().Sub(l.Now()).Truncate(time.Second)
	if left <= 0 {
		return Document{}, behind(nil)
	}
	document := e.document
	document.MaxAge = min(TTL, left)
	return document, nil
}

// claims are those of section 5.1.
type claims struct {
	Subject   string `json:"sub"`
	IssuedAt  int64  `json:"iat"`
	ExpiresAt int64  `json:"exp"`
	TTL       int64  `json:"ttl"`
	List      struct {
		Bits int    `json:"bits"`
		List string `json:"lst"`
	} `json:"status_list"`
}

// make signs a list as it is now.
func (l *Lists) make(ctx context.Context, id int64) (*edition, error) {
	e := &edition{kid: l.Signer.ActiveKID(), made: time.Now()}
	var bits []byte
	bits, e.version, e.issued = l.dead.copyOf(id)
	if !l.Now().Before(e.expires()) {
		return nil, behind(nil)
	}
	said := claims{Subject: uri(l.base, id), IssuedAt: e.issued.Unix(), ExpiresAt: e.expires().Unix(), TTL: int64(TTL / time.Second)}
	said.List.Bits = 1
	var err error
	if said.List.List, err = compress(bits); err != nil {
		return nil, err
	}
	payload, err := json.Marshal(said)
	if err != nil {
		return nil, fmt.Errorf("encode a status list: %w", err)
	}
	raw, err := l.Signer.Sign(ctx, Type, payload)
	if err != nil {
		return nil, err
	}
	l.signed.Inc()
	e.document.Body = []byte(raw)
	sum := sha256.Sum256(e.document.Body)
	e.document.ETag = `"` + hex.EncodeToString(sum[:8]) + `"`
	return e, nil
}
