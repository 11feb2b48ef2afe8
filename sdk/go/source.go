package agentidp

import (
	"context"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"golang.org/x/oauth2"
)

// A token is replaced after about 80 % of its life, and not used in its last seconds.
const (
	refreshAfter = 0.8
	jitter       = 0.1
	lastUse      = 5 * time.Second
	refreshLimit = 30 * time.Second
)

// TokenSource gives a fresh token to any number of goroutines: kept until
// shortly before it expires, replaced in the background while the old one is
// still good, one request in flight however many callers. It is an oauth2.TokenSource.
type TokenSource struct {
	config Config

	mu        sync.Mutex // guards all below
	token     *oauth2.Token
	refreshAt time.Time
	flight    *flight
}

// flight is one request for a token under way.
type flight struct {
	done  chan struct{} // closed when token and err are set
	token *oauth2.Token
	err   error
}

// TokenSource checks the configuration. It asks for nothing yet.
func (c Config) TokenSource() (*TokenSource, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	return &TokenSource{config: c}, nil
}

// Token implements oauth2.TokenSource.
func (s *TokenSource) Token() (*oauth2.Token, error) { return s.TokenContext(context.Background()) }

// TokenContext returns a token that is good for five seconds or more. ctx
// bounds this caller's wait, not the request others wait for too.
func (s *TokenSource) TokenContext(ctx context.Context) (*oauth2.Token, error) {
	s.mu.Lock()
	now := time.Now()
	good := s.token != nil && now.Add(lastUse).Before(s.token.Expiry)
	if good && now.Before(s.refreshAt) {
		token := s.token
		s.mu.Unlock()
		return token, nil
	}
	if s.flight == nil {
		s.flight = &flight{done: make(chan struct{})}
		go s.refresh(s.flight) //nolint:gosec // the request is for all who wait, not for this caller
	}
	current, token := s.flight, s.token
	s.mu.Unlock()
	if good {
		return token, nil
	}
	select {
	case <-current.done:
		return current.token, current.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// refresh ends the flight, and keeps the token it brought. After a failure a
// token that is still good is kept and the next caller tries again.
func (s *TokenSource) refresh(f *flight) {
	ctx, cancel := context.WithTimeout(context.Background(), refreshLimit)
	defer cancel()
	f.token, f.err = s.config.request(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flight = nil
	if f.err == nil {
		life := time.Until(f.token.Expiry)
		s.token = f.token
		s.refreshAt = time.Now().Add(time.Duration(float64(life) * (refreshAfter + jitter*rand.Float64()))) //nolint:gosec // jitter
	}
	close(f.done)
}

// Forget drops the kept token: the next call asks for a new one. For an API
// that answered 401 to it.
func (s *TokenSource) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.token = nil
}

// Client calls APIs with the source's tokens.
func (s *TokenSource) Client() *http.Client {
	return &http.Client{Transport: &oauth2.Transport{Source: s}}
}
