package verify

import (
	"bytes"
	"compress/zlib"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/sentryagent/agentidp/shared/token"
)

const (
	statusListType  = "statuslist+jwt"
	maxStatusJWS    = 512 << 10 // bytes
	maxStatusBytes  = 1 << 20   // a list unpacked
	maxStatusLists  = 1024      // kept
	maxListFetches  = 8         // at once
	defaultListTTL  = 15 * time.Second
	leastListTTL    = time.Second
	listRetry       = time.Second      // after a failed fetch
	awayFor         = 15 * time.Second // that a failed fetch says: longer than the next one takes to fail
	statusListMedia = "application/statuslist+jwt"
)

// StatusLists checks tokens against the signed lists that they name
// (draft-ietf-oauth-status-list): one fetch of a list in its time to live,
// whatever the number of tokens, behind requests. A revoked token is refused
// within two of them; while the issuer is away, or takes longer than 3 seconds,
// its last list counts until that expires.
func StatusLists() func(*Verifier) Revocations {
	return func(v *Verifier) Revocations {
		return &statusLists{
			verifier: v, prefix: strings.TrimSuffix(v.issuer, "/") + "/",
			fetching: make(chan struct{}, maxListFetches), lists: map[string]*statusList{},
		}
	}
}

type statusLists struct {
	verifier *Verifier
	prefix   string        // of the lists' addresses
	fetching chan struct{} // holds one for each fetch on its way

	mu    sync.Mutex // guards lists and what they hold
	lists map[string]*statusList
}

// statusList is one list and its last edition.
type statusList struct {
	flight  *listFetch // nil: none is under way
	edition statusEdition
	failed  error     // of the last fetch
	tried   time.Time // when that ended; zero: there was none
}

// due says that the list is to be fetched again.
func (l *statusList) due(now time.Time) bool {
	rest := l.edition.ttl
	if l.failed != nil {
		rest = listRetry
	}
	return l.tried.IsZero() || age(now, l.tried) >= rest
}

// listFetch is one under way.
type listFetch struct {
	began time.Time
	done  chan struct{} // closed when it has ended
}

// Check implements Revocations.
func (s *statusLists) Check(ctx context.Context, _ string, claims *Claims) error {
	status := claims.Status
	if !strings.HasPrefix(status.URI, s.prefix) {
		return &Unavailable{Reason: RevocationsStale, cause: errors.New("the token has no place in a status list of the issuer")}
	}
	list, err := s.fresh(ctx, status.URI)
	if err != nil {
		return &Unavailable{Reason: RevocationsStale, cause: err}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.verifier.now().Before(list.edition.expires):
		return &Unavailable{Reason: RevocationsStale, cause: list.failed}
	case status.Index/8 >= int64(len(list.edition.bits)):
		return &Unavailable{Reason: RevocationsStale, cause: errors.New("the status list is shorter than that")}
	case list.edition.bits[status.Index/8]>>(status.Index%8)&1 == 1:
		return &Error{Reason: TokenRevoked}
	}
	return nil
}

// fresh begins the fetch of a list that is due, one for all who ask, and waits for
// it if there is no edition to answer from. A caller who does not wait that long
// learns nothing: only an issuer that is away makes an old edition count.
func (s *statusLists) fresh(ctx context.Context, uri string) (*statusList, error) {
	list, under, wait := s.look(uri)
	if list == nil {
		return nil, errors.New("too many status lists are fetched at once")
	}
	if wait <= 0 {
		return list, nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-under.done:
	case <-timer.C:
	case <-ctx.Done():
		return nil, fmt.Errorf("status list: %w", ctx.Err())
	}
	return list, nil
}

// look finds the list, the fetch under way, and how long that is worth waiting for.
func (s *statusLists) look(uri string) (list *statusList, under *listFetch, wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list, now := s.list(uri), s.verifier.now()
	if list == nil || !list.due(now) {
		return list, nil, 0
	}
	if list.flight == nil {
		list.flight = &listFetch{began: now, done: make(chan struct{})}
		s.verifier.keys.fetches.Go(func() { s.fetch(list, uri) })
	}
	// A list that nobody asked for in two of its lives may have missed a revocation,
	// unless the issuer is known to be away.
	away := list.failed != nil && age(now, list.tried) < awayFor
	if edition := list.edition; now.Before(edition.expires) && (age(now, edition.came) < 2*edition.ttl || away) {
		return list, nil, 0
	}
	return list, list.flight, longestWait - age(now, list.flight.began)
}

// list finds or takes on a list; nil: every one there is, is being fetched. mu is held.
func (s *statusLists) list(uri string) *statusList {
	if list := s.lists[uri]; list != nil {
		return list
	}
	if len(s.lists) == maxStatusLists {
		for old, list := range s.lists { // any: the issuer's lists of an hour are few
			if list.flight == nil {
				delete(s.lists, old)
				break
			}
		}
	}
	if len(s.lists) == maxStatusLists {
		return nil
	}
	s.lists[uri] = &statusList{}
	return s.lists[uri]
}

// fetch ends by its time limit, not with who asked. A failure leaves the edition
// there is, which counts until it expires.
func (s *statusLists) fetch(list *statusList, uri string) {
	ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
	defer cancel()
	edition, err := s.get(ctx, uri)
	s.mu.Lock()
	defer s.mu.Unlock()
	list.failed, list.tried = err, s.verifier.now()
	if err == nil {
		edition.came = list.tried
		list.edition = edition
	}
	close(list.flight.done)
	list.flight = nil
}

// get waits for its turn.
func (s *statusLists) get(ctx context.Context, uri string) (statusEdition, error) {
	select {
	case s.fetching <- struct{}{}:
		defer func() { <-s.fetching }()
		return s.verifier.statusList(ctx, uri)
	case <-ctx.Done():
		return statusEdition{}, fmt.Errorf("status list: %w", ctx.Err())
	}
}

type statusEdition struct {
	bits    []byte
	expires time.Time
	ttl     time.Duration
	came    time.Time
}

// signers are the keys, and which one was asked for last.
type signers struct {
	*keys
	kid string
}

func (s *signers) Key(kid string) (*token.Key, error) {
	s.kid = kid
	return s.keys.Key(kid)
}

func (v *Verifier) statusList(ctx context.Context, uri string) (statusEdition, error) {
	document, err := get(ctx, v.client, wanted{address: uri, accept: statusListMedia, limit: maxStatusJWS})
	if err != nil {
		return statusEdition{}, fmt.Errorf("status list: %w", err)
	}
	raw, keys := string(document.body), &signers{keys: v.keys}
	payload, _, err := token.VerifyJWS(raw, statusListType, keys, maxStatusJWS)
	if keyMissing(err) {
		v.keys.await(ctx, keys.kid)
		payload, _, err = token.VerifyJWS(raw, statusListType, keys, maxStatusJWS)
	}
	if err != nil {
		return statusEdition{}, fmt.Errorf("status list: %w", err)
	}
	var claims struct {
		Subject   string `json:"sub"`
		ExpiresAt int64  `json:"exp"`
		TTL       int64  `json:"ttl"`
		List      struct {
			Bits int    `json:"bits"`
			List string `json:"lst"`
		} `json:"status_list"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return statusEdition{}, fmt.Errorf("status list: %w", err)
	}
	edition := statusEdition{expires: time.Unix(claims.ExpiresAt, 0), ttl: max(time.Duration(min(claims.TTL, 3600))*time.Second, leastListTTL)}
	if claims.TTL == 0 {
		edition.ttl = defaultListTTL
	}
	if claims.Subject != uri || claims.List.Bits != 1 || !v.now().Before(edition.expires) {
		return statusEdition{}, errors.New("status list: of another address, of another kind, or expired")
	}
	edition.bits, err = unpack(claims.List.List)
	return edition, err
}

// unpack reads lst, which must not be larger than any list there is.
func unpack(text string) ([]byte, error) {
	packed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("status list: %w", err)
	}
	reader, err := zlib.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("status list: %w", err)
	}
	bits, err := io.ReadAll(io.LimitReader(reader, maxStatusBytes+1))
	if err != nil || len(bits) > maxStatusBytes {
		return nil, fmt.Errorf("status list: it cannot be unpacked to %d bytes: %w", maxStatusBytes, errors.Join(err, reader.Close()))
	}
	return bits, nil
}
