package vault

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/hashicorp/vault/api"
)

// loginPause is the least time between two logins, failed or not: a policy that
// refuses us must not make every request a login.
const loginPause = time.Second

// grant is a token and how long it is good. It does not change once it is held.
type grant struct {
	api       *api.Client // carries the token
	made      time.Time
	expires   time.Time     // zero: never
	lease     time.Duration // at login
	renewable bool
}

// expired reports whether the token is dead at now.
func (g *grant) expired(now time.Time) bool { return !g.expires.IsZero() && !now.Before(g.expires) }

// until sets the end of a lease that begins now.
func (g *grant) until(now time.Time, lease time.Duration) {
	g.expires = time.Time{}
	if lease > 0 {
		g.expires = now.Add(lease)
	}
}

// due is when the token wants to be renewed: with a third of its time left. Zero: never.
func (g *grant) due(now time.Time) time.Time {
	if g.expires.IsZero() {
		return time.Time{}
	}
	return now.Add(max(g.expires.Sub(now)*2/3, 100*time.Millisecond))
}

// session holds the grant. One logs in for all who wait.
type session struct {
	options *Options
	dialer  *dialer
	turn    chan struct{} // an element while somebody logs in
	changed chan struct{} // tells the keeper of a new grant, coalescing

	mu      sync.Mutex
	current *grant    // nil before the first login
	failed  time.Time // the last login, when it failed
	failure error     // of it
}

func newSession(o *Options, d *dialer) *session {
	return &session{options: o, dialer: d, turn: make(chan struct{}, 1), changed: make(chan struct{}, 1)}
}

// get returns a grant other than refused, logging in when it must. The errors
// are ErrUnavailable, context.Canceled, and errForbidden: Vault refuses to log
// us in, or refused is so new that another login would be refused as well.
func (s *session) get(ctx context.Context, refused *grant) (*grant, error) {
	if g, err := s.held(refused); g != nil || err != nil {
		return g, err
	}
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, unanswered(ctx, ctx.Err())
	}
	defer func() { <-s.turn }()
	if g, err := s.held(refused); g != nil || err != nil { // another was first
		return g, err
	}
	g, err := s.login(ctx)
	if errors.Is(err, context.Canceled) {
		return nil, err
	}
	s.store(g, err)
	if err != nil {
		s.options.Logger.LogAttrs(ctx, slog.LevelWarn, "vault login failed", slog.Any("error", err))
		return nil, err
	}
	s.options.Logger.LogAttrs(ctx, slog.LevelInfo, "logged in to vault",
		slog.Duration("lease", g.lease), slog.Bool("renewable", g.renewable))
	return g, nil
}

// held is the grant that can be used now; none and no error: log in.
func (s *session) held(refused *grant) (*grant, error) {
	now := s.options.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch g := s.current; {
	case g != nil && g != refused && !g.expired(now):
		return g, nil
	case g != nil && g == refused && now.Sub(g.made) < loginPause:
		return nil, errForbidden
	case !s.failed.IsZero() && now.Sub(s.failed) < loginPause:
		return nil, s.failure
	}
	return nil, nil //nolint:nilnil // neither is the third answer
}

func (s *session) store(g *grant, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.failed, s.failure = s.options.Now(), fmt.Errorf("a moment ago: %w", err)
		return
	}
	s.current, s.failed, s.failure = g, time.Time{}, nil
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// peek is the grant, nil before the first login.
func (s *session) peek() *grant {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current
}

// renewed puts the prolonged grant in the place of old, unless another login
// was faster, and returns what is held then.
func (s *session) renewed(old *grant, a *authority) *grant {
	g := *old
	g.renewable = a.Renewable
	g.until(s.options.Now(), a.lease())
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == old {
		s.current = &g
	}
	return s.current
}
