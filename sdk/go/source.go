package agentidp

import (
	"context"
	"errors"
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
	refreshPause = 5 * time.Second  // after a refresh ahead that failed
	forgetPause  = 10 * time.Second // between tokens that APIs refuse
)

// TokenSource gives a fresh token to any number of goroutines: kept until
// shortly before it expires, replaced in the background while the old one is
// still good, one request in flight however many callers. It is an oauth2.TokenSource.
type TokenSource struct {
	config Config // but for the secret
	secret *secret

	mu        sync.Mutex // guards all below
	token     *oauth2.Token
	refreshAt time.Time
	forgot    time.Time // when an API's refusal last dropped a token
	flight    *flight
}

// secret is what a rotation replaces, for all sources of the credential.
type secret struct {
	rotating sync.Mutex // held by the one rotation under way
	mu       sync.Mutex // guards text
	text     string
}

func (s *secret) get() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text
}

func (s *secret) set(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text = text
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
	return &TokenSource{config: c, secret: &secret{text: c.ClientSecret}}, nil
}

// For is a source of the same credential for other resources. A rotation of the
// secret counts for both.
func (s *TokenSource) For(resources ...string) *TokenSource {
	return &TokenSource{config: s.config.WithResources(resources...), secret: s.secret}
}

// Token implements oauth2.TokenSource.
func (s *TokenSource) Token() (*oauth2.Token, error) { return s.TokenContext(context.Background()) }

// TokenContext returns a token that is good for five seconds or more, if the IdP
// gives such. ctx bounds this caller's wait, not the request others wait for too.
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
		if current.err == nil && !time.Now().Before(current.token.Expiry) {
			return nil, errors.New("agentidp: the token had expired when it came")
		}
		return current.token, current.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// refresh ends the flight, and keeps the token it brought. After a failure a
// token that is still good is kept, and the next refresh ahead waits a little.
func (s *TokenSource) refresh(f *flight) {
	ctx, cancel := context.WithTimeout(context.Background(), refreshLimit)
	defer cancel()
	config := s.config
	config.ClientSecret = s.secret.get()
	f.token, f.err = config.request(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flight = nil
	if f.err == nil {
		life := time.Until(f.token.Expiry)
		s.token = f.token
		s.refreshAt = time.Now().Add(time.Duration(float64(life) * (refreshAfter + jitter*rand.Float64()))) //nolint:gosec // jitter
	} else {
		s.refreshAt = time.Now().Add(refreshPause)
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

// refused drops a token that an API refused, and reports whether another one is
// worth a try. An API that refuses every token costs one in ten seconds.
func (s *TokenSource) refused(accessToken string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.token == nil || s.token.AccessToken != accessToken {
		return true // somebody has dropped it
	}
	now := time.Now()
	if !s.forgot.IsZero() && now.Sub(s.forgot) < forgetPause {
		return false
	}
	s.token, s.forgot = nil, now
	return true
}

// Client calls APIs with the source's tokens. It has no time limit of its own:
// that is the business of each request's context.
func (s *TokenSource) Client() *http.Client {
	return &http.Client{Transport: &Transport{Source: s}}
}

// Management is a client of the management API with the same credential.
func (s *TokenSource) Management() *Client {
	return newClient(s.config, s.For(), nil)
}
