package syncer

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"
)

// Bounds of what an answer may be.
const (
	maxAnswer   = 64 << 10 // tokens, metadata, ingest answers, errors
	maxPage     = 8 << 20  // of the feed
	maxSnapshot = 64 << 20
	answerTime  = 10 * time.Second // of a whole exchange, unless it waits by design
)

// client talks plain net/http: no redirects, bounded time, bounded answers.
type client struct{ http http.Client }

func newClient(transport http.RoundTripper, secure *tls.Config) *client {
	if transport == nil {
		transport = &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
			TLSClientConfig:       secure,
			TLSHandshakeTimeout:   5 * time.Second,
			ExpectContinueTimeout: time.Second,
			IdleConnTimeout:       90 * time.Second,
			MaxIdleConnsPerHost:   4,
			ForceAttemptHTTP2:     true,
			// An answer that unzips to gigabytes would pass a limit on its length.
			DisableCompression:     true,
			MaxResponseHeaderBytes: 32 << 10,
		}
	}
	return &client{http: http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (c *client) close() { c.http.CloseIdleConnections() }

// answer is what came back, read whole.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// do sends the request, which must carry a deadline, and reads at most limit
// bytes of the answer. More than that is an error.
func (c *client) do(request *http.Request, limit int64) (*answer, error) {
	response, err := c.http.Do(request)
	if err != nil {
		return nil, plain(err)
	}
	defer func() { _ = response.Body.Close() }() // what matters was read, or failed
	body, err := io.ReadAll(io.LimitReader(response.Body, limit+1))
	if err != nil {
		return nil, plain(err)
	}
	if int64(len(body)) > limit {
		return nil, fmt.Errorf("the answer is longer than %d bytes", limit)
	}
	return &answer{response.StatusCode, response.Header, body}, nil
}

// plain drops the URL that net/http puts around an error: the operator knows
// it, and it may hold what a configuration should not have held.
func plain(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	return fmt.Errorf("request: %w", err)
}

// media is the answer's media type without parameters, lower case.
func (a *answer) media() string {
	media, _, err := mime.ParseMediaType(a.header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return media
}

// refusal is an answer that is not the one asked for.
type refusal struct {
	status  int
	code    string // of the IdP's error body
	message string
	after   time.Duration // Retry-After; 0: none
	next    *int64        // details.nextSequence of SEQUENCE_GAP
}

func (r *refusal) Error() string {
	text := "answered " + strconv.Itoa(r.status)
	if r.code != "" {
		text += " " + r.code
	}
	if r.message != "" {
		text += ": " + r.message
	}
	return text
}

// permanent reports whether asking again at once is pointless.
func (r *refusal) permanent() bool {
	return r.status < 500 && r.status != http.StatusTooManyRequests && r.status != http.StatusRequestTimeout
}

// refused makes a refusal of an answer of either error form of the IdP.
func refused(a *answer) *refusal {
	r := &refusal{status: a.status}
	var body struct {
		Code        string `json:"code"`
		Message     string `json:"message"`
		Error       string `json:"error"`
		Description string `json:"error_description"`
		Details     struct {
			NextSequence *int64 `json:"nextSequence"`
		} `json:"details"`
	}
	if json.Unmarshal(a.body, &body) == nil { // a proxy's error page tells nothing more than its status
		r.code, r.message, r.next = clip(body.Code+body.Error), clip(body.Message+body.Description), body.Details.NextSequence
	}
	if seconds, err := strconv.Atoi(a.header.Get("Retry-After")); err == nil && seconds > 0 {
		r.after = min(time.Duration(seconds)*time.Second, time.Hour)
	}
	return r
}

// clip bounds and cleans a foreign text for our logs.
func clip(s string) string {
	clean := bytes.ToValidUTF8([]byte(s[:min(len(s), 300)]), nil)
	return string(bytes.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, clean))
}

// caller makes requests in the sidecar's own name.
type caller struct {
	client     *client
	credential *credential
	identity   *identity
	opts       Options
}

// do sends a request with our token and name. A token that is refused is
// forgotten, so that the next call fetches another.
func (c *caller) do(ctx context.Context, method, path string, body io.Reader, header map[string]string, limit int64) (*answer, error) {
	token, err := c.credential.token(ctx)
	if err != nil {
		return nil, &noToken{err}
	}
	request, err := http.NewRequestWithContext(ctx, method, c.opts.IdPURL+path, body)
	if err != nil {
		return nil, fmt.Errorf("request: %w", err)
	}
	for name, value := range header {
		request.Header.Set(name, value)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("X-Sidecar-Id", c.identity.id)
	if c.opts.Name != "" {
		request.Header.Set("X-Sidecar-Name", c.opts.Name)
	}
	request.Header.Set("X-Sidecar-Version", c.opts.Version)
	request.Header.Set("X-Sidecar-Policy-Revision", c.opts.PolicyRevision())
	a, err := c.client.do(request, limit)
	if err != nil {
		return nil, err
	}
	if a.status == http.StatusUnauthorized {
		c.credential.forget(token)
	}
	return a, nil
}

// noToken says that a request was not even made. It hides a refusal from pace:
// the credential has a pace of its own, which its callers must not add to.
type noToken struct{ why error }

func (e *noToken) Error() string { return "own token: " + e.why.Error() }

// trouble is the last failure of something that is tried again and again.
type trouble struct{ last atomic.Pointer[string] }

func (t *trouble) set(err error) {
	text := err.Error()
	t.last.Store(&text)
}

func (t *trouble) clear() { t.last.Store(nil) }

func (t *trouble) text() string {
	if text := t.last.Load(); text != nil {
		return *text
	}
	return ""
}
