package jwksfetch

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sentryagent/agentidp/idp/internal/clientauth"
	"github.com/sentryagent/agentidp/idp/internal/turnstile"
)

// Bounds of one fetch.
const (
	timeout    = 3 * time.Second // for the whole of it, resolving included
	maxBody    = 64 << 10
	maxHeaders = 16 << 10
)

// Lifetimes of what was fetched.
const (
	defaultTTL = 5 * time.Minute
	minTTL     = time.Minute
	maxTTL     = time.Hour
)

var (
	errStatus  = errors.New("not answered 200")
	errContent = errors.New("not a key set in JSON")
	errBusy    = errors.New("too many key sets are being fetched")
)

// newClient makes a client that keeps nothing, follows nothing and trusts no
// environment: no proxy, no cookie, no connection that outlives its answer, no
// compression that grows, no redirect, HTTP/1.1 alone.
func newClient(o *Options) *http.Client {
	dialer := &net.Dialer{Timeout: timeout, KeepAlive: -1, Resolver: o.Resolver, Control: guard{o.Allow}.control}
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext: dialer.DialContext, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.Roots},
			Protocols: protocols, DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: maxHeaders,
		},
	}
}

// document is a key set as it was fetched.
type document struct {
	keys *clientauth.KeySet
	ttl  time.Duration
}

// get fetches once, when it is its turn.
func (f *Fetcher) get(ctx context.Context, uri string) (_ document, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	defer func() { f.meters.count(err) }()
	u, wrong := parse(uri, f.options.AllowHTTP)
	if wrong != "" {
		return document{}, fmt.Errorf("%w: the URI %s", errAddress, wrong)
	}
	leave, err := f.enter(ctx, u.Hostname())
	if err != nil {
		return document{}, err
	}
	defer leave()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return document{}, fmt.Errorf("request: %w", err)
	}
	request.Header.Set("Accept", "application/jwk-set+json, application/json")
	request.Header.Set("User-Agent", "agentidp")
	answer, err := f.client.Do(request)
	if err != nil {
		return document{}, err
	}
	defer answer.Body.Close() //nolint:errcheck // nothing is left to lose
	found, err := read(answer)
	if err != nil && ctx.Err() != nil {
		return document{}, ctx.Err() // what was cut off is no reason to blame the content
	}
	return found, err
}

func read(answer *http.Response) (document, error) {
	if answer.StatusCode != http.StatusOK {
		return document{}, fmt.Errorf("%w but %d", errStatus, answer.StatusCode)
	}
	media, _, err := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	if err != nil || media != "application/json" && media != "application/jwk-set+json" || answer.Header.Get("Content-Encoding") != "" {
		return document{}, fmt.Errorf("%w: Content-Type or Content-Encoding", errContent)
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxBody+1))
	if err != nil {
		return document{}, fmt.Errorf("read the answer: %w", err)
	}
	if len(body) > maxBody {
		return document{}, fmt.Errorf("%w: longer than %d bytes", errContent, maxBody)
	}
	keys, err := clientauth.ReadKeySet(body)
	if err != nil {
		return document{}, fmt.Errorf("%w: %w", errContent, err)
	}
	return document{keys: keys, ttl: lifetime(answer.Header.Values("Cache-Control"))}, nil
}

// lifetime is max-age within our bounds. What must not be stored is stored for
// the shortest time: else every request would be a fetch.
func lifetime(fields []string) time.Duration {
	ttl := defaultTTL
	for directive := range strings.SplitSeq(strings.ToLower(strings.Join(fields, ",")), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch name {
		case "no-store", "no-cache":
			return minTTL
		case "max-age":
			seconds, err := strconv.ParseInt(strings.Trim(value, `"`), 10, 32)
			if err == nil {
				ttl = time.Duration(seconds) * time.Second
			}
		}
	}
	return min(max(ttl, minTTL), maxTTL)
}

// Lines in front of the network: one fetch at a time from one host, so that no
// agent makes us a weapon against another's, and a few hosts at once.
const (
	atOnce  = 16
	waiting = 256
	perHost = 64 // waiting for one host
)

type lines struct {
	all   *turnstile.Turnstile
	hosts map[string]*host // guarded by Fetcher.mu
}

type host struct {
	line  *turnstile.Turnstile
	users int
}

// enter waits for the host, then for a place among all.
func (f *Fetcher) enter(ctx context.Context, name string) (leave func(), err error) {
	name = strings.ToLower(name)
	f.mu.Lock()
	h := f.lines.hosts[name]
	if h == nil {
		h = &host{line: turnstile.New(1, perHost)}
		f.lines.hosts[name] = h
	}
	h.users++
	f.mu.Unlock()
	forget := func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if h.users--; h.users == 0 {
			delete(f.lines.hosts, name)
		}
	}
	if err := h.line.Enter(ctx); err != nil {
		forget()
		return nil, fmt.Errorf("%w from its host: %w", errBusy, err)
	}
	if err := f.lines.all.Enter(ctx); err != nil {
		h.line.Leave()
		forget()
		return nil, fmt.Errorf("%w: %w", errBusy, err)
	}
	return func() {
		f.lines.all.Leave()
		h.line.Leave()
		forget()
	}, nil
}
