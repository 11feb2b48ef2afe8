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
)

// Bounds of one fetch.
const (
	timeout    = 3 * time.Second // for the whole of it, resolving included
	patience   = 4 * time.Second // in line before it: one fetch of another's from the same host, and some
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
	errGone    = errors.New("no keys are published any more")
	errStatus  = errors.New("not answered 200")
	errContent = errors.New("not a key set in JSON")
	errBusy    = errors.New("too many key sets are being fetched")
)

// newClient makes a client that keeps nothing, follows nothing and trusts no
// environment: no proxy, no cookie, no connection that outlives its answer, no
// compression that grows, no redirect, HTTP/1.1 alone.
func newClient(o *Options) *http.Client {
	dialer := &net.Dialer{Timeout: o.timeout, KeepAlive: -1, Resolver: o.Resolver, Control: guard{o.Allow}.control}
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

// get fetches once, when it is its turn. The wait is not the site's fault, and
// takes nothing from its time.
func (f *Fetcher) get(ctx context.Context, at clientauth.KeyAddress) (_ document, err error) {
	defer func() { f.meters.count(err) }()
	u, wrong := parse(at.URI, f.options.AllowHTTP)
	if wrong != "" {
		return document{}, fmt.Errorf("%w: the URI %s", errAddress, wrong)
	}
	leave, err := f.lines.enter(ctx, at.OrganizationID, strings.ToLower(u.Hostname()))
	if err != nil {
		return document{}, err
	}
	defer leave()
	ctx, cancel := context.WithTimeout(ctx, f.options.timeout)
	defer cancel()
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
	switch answer.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound, http.StatusGone:
		return document{}, errGone
	default:
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
