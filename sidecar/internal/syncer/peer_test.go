package syncer

import (
	"bytes"
	"compress/gzip"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/decision"
	"github.com/sentryagent/agentidp/shared/feed"
	"github.com/sentryagent/agentidp/shared/token"
	"github.com/sentryagent/agentidp/sidecar/internal/spool"
)

var privateKeys = sync.OnceValue(func() (keys [3]*rsa.PrivateKey) {
	for i := range keys {
		key, err := rsa.GenerateKey(rand.Reader, token.MinKeyBits)
		if err != nil {
			panic(err)
		}
		keys[i] = key
	}
	return keys
})

func kidOf(key *rsa.PrivateKey) string { return token.Thumbprint(&key.PublicKey) }

// sign makes a compact JWS.
func sign(t testing.TB, key *rsa.PrivateKey, typ string, payload any) string {
	t.Helper()
	body, err := json.Marshal(payload)
	require.NoError(t, err)
	header := fmt.Sprintf(`{"alg":"RS256","kid":%q,"typ":%q}`, kidOf(key), typ)
	text := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString(body)
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
	require.NoError(t, err)
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func jwks(t testing.TB, keys ...*rsa.PrivateKey) []byte {
	t.Helper()
	set := token.JWKS{Keys: []token.JWK{}}
	for _, key := range keys {
		set.Keys = append(set.Keys, token.PublicJWK(&key.PublicKey))
	}
	body, err := json.Marshal(set)
	require.NoError(t, err)
	return body
}

// peer is an IdP made of handlers: what a test sets it to be.
type peer struct {
	*httptest.Server
	t testing.TB

	mu    sync.Mutex
	calls map[string]int // by path
	last  map[string]*http.Request
	// hooks answer instead of the peer, when they answer true.
	hooks map[string]func(w http.ResponseWriter, r *http.Request) bool

	keys       []*rsa.PrivateKey
	entries    []feed.Entry
	feedEpoch  string
	feedCalls  chan struct{} // closed and renewed when entries change
	next       int64         // of decisions
	anchor     string
	lines      [][]byte
	tokenLife  int
	tokenCount int
}

func newPeer(t testing.TB) *peer {
	p := &peer{
		t: t, calls: map[string]int{}, last: map[string]*http.Request{}, hooks: map[string]func(http.ResponseWriter, *http.Request) bool{},
		keys: []*rsa.PrivateKey{privateKeys()[0]}, feedEpoch: "e1", feedCalls: make(chan struct{}), tokenLife: 3600,
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/oauth-authorization-server", p.metadata)
	mux.HandleFunc("/jwks", p.jwks)
	mux.HandleFunc(tokenPath, p.token)
	mux.HandleFunc(feedPath, p.feed)
	mux.HandleFunc(decisionsPath, p.ingest)
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.calls[r.URL.Path]++
		p.last[r.URL.Path] = r
		hook := p.hooks[r.URL.Path]
		p.mu.Unlock()
		if hook == nil || !hook(w, r) {
			mux.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(func() {
		p.CloseClientConnections()
		p.Close()
	})
	return p
}

func (p *peer) hook(path string, f func(w http.ResponseWriter, r *http.Request) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hooks[path] = f
}

// answers makes a path answer the same always.
func (p *peer) answers(path string, status int, body string, header ...string) {
	p.hook(path, func(w http.ResponseWriter, _ *http.Request) bool {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
		return true
	})
}

func (p *peer) count(path string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls[path]
}

func (p *peer) request(path string) *http.Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last[path]
}

func (p *peer) setKeys(keys ...*rsa.PrivateKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys = keys
}

func (p *peer) metadata(w http.ResponseWriter, _ *http.Request) {
	answerJSON(w, map[string]any{"issuer": p.URL, "jwks_uri": p.URL + "/jwks"})
}

func (p *peer) jwks(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	body := jwks(p.t, p.keys...)
	p.mu.Unlock()
	etag := fmt.Sprintf(`"%x"`, sha256.Sum256(body))
	w.Header().Set("ETag", etag)
	if r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	_, _ = w.Write(body)
}

func (p *peer) token(w http.ResponseWriter, r *http.Request) {
	id, secret, _ := r.BasicAuth()
	if id != "client" || secret != "secret" {
		refuse(w, 401, `{"error":"invalid_client"}`)
		return
	}
	p.mu.Lock()
	p.tokenCount++
	n, life := p.tokenCount, p.tokenLife
	p.mu.Unlock()
	raw := sign(p.t, privateKeys()[0], token.Type, map[string]any{"org": "org-1", "n": n})
	answerJSON(w, map[string]any{"access_token": raw, "token_type": "Bearer", "expires_in": life, "scope": "decisions:write revocations:read"})
}

// revoke adds an entry to the feed.
func (p *peer) revoke(e feed.Entry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e.Seq, e.At = int64(len(p.entries)+1), time.Now().UTC().Format(decision.TimeLayout)
	p.entries = append(p.entries, e)
	close(p.feedCalls)
	p.feedCalls = make(chan struct{})
}

func (p *peer) snapshot(change func(*feed.Snapshot)) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := feed.Snapshot{
		Issuer: p.URL, IssuedAt: time.Now().Unix(), Epoch: p.feedEpoch, Entries: append([]feed.Entry{}, p.entries...),
		Cursor: feed.Cursor{Epoch: p.feedEpoch, Seq: int64(len(p.entries))}.String(),
	}
	if change != nil {
		change(&s)
	}
	return sign(p.t, p.keys[0], feed.SnapshotType, s)
}

func (p *peer) feed(w http.ResponseWriter, r *http.Request) {
	after := r.URL.Query().Get("after")
	cursor, err := feed.ParseCursor(after)
	if err != nil || cursor.Epoch != p.feedEpoch {
		w.Header().Set("Content-Type", feed.SnapshotMediaType+"; charset=utf-8")
		_, _ = io.WriteString(w, p.snapshot(nil))
		return
	}
	wait, _ := strconv.Atoi(r.URL.Query().Get("wait"))
	timer := time.NewTimer(time.Duration(wait) * time.Second)
	defer timer.Stop()
	for {
		p.mu.Lock()
		page := feed.Page{Epoch: p.feedEpoch, Entries: append([]feed.Entry{}, p.entries[min(cursor.Seq, int64(len(p.entries))):]...)}
		page.Cursor = feed.Cursor{Epoch: p.feedEpoch, Seq: int64(len(p.entries))}.String()
		changed := p.feedCalls
		p.mu.Unlock()
		if len(page.Entries) > 0 || wait == 0 {
			answerJSON(w, page)
			return
		}
		select {
		case <-changed:
		case <-timer.C:
			wait = 0
		case <-r.Context().Done():
			return
		}
	}
}

// ingest keeps decisions as the IdP does: repeats are skipped, a hole is refused.
func (p *peer) ingest(w http.ResponseWriter, r *http.Request) {
	unzipped, err := gzip.NewReader(r.Body)
	if err != nil {
		refuse(w, 400, `{"code":"VALIDATION_FAILED","message":"not gzip"}`)
		return
	}
	body, err := io.ReadAll(unzipped)
	if err != nil || len(body) > decision.MaxBytes || bytes.Count(body, []byte("\n")) > decision.MaxRecords {
		refuse(w, 413, `{"code":"PAYLOAD_TOO_LARGE"}`)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	ingested, anchor := 0, ""
	for line := range bytes.Lines(body) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		if whole, short := decision.Restore(nil, line, anchor); short {
			line = whole
		}
		record, err := decision.Parse(line)
		switch {
		case err != nil:
			refuse(w, 400, `{"code":"VALIDATION_FAILED","message":"record"}`)
			return
		}
		anchor = record.Anchor(line)
		switch {
		case record.Sequence < p.next:
			continue
		case record.First() > p.next:
			refuse(w, 409, fmt.Sprintf(`{"code":"SEQUENCE_GAP","message":"hole","details":{"nextSequence":%d}}`, p.next))
			return
		case !record.Linked(p.anchor):
			refuse(w, 400, `{"code":"VALIDATION_FAILED","message":"chain"}`)
			return
		}
		p.lines = append(p.lines, bytes.Clone(line))
		p.next, p.anchor = record.Sequence+1, record.Anchor(line)
		ingested++
	}
	answerJSON(w, map[string]any{"nextSequence": p.next, "ingested": ingested, "skipped": 0})
}

func (p *peer) ingested() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.lines)
}

func answerJSON(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body)
}

func refuse(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

func newSpool(t testing.TB, dir string) *spool.Spool {
	t.Helper()
	sp, err := spool.Open(dir, spool.Options{MaxBytes: 8 << 20})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, sp.Close()) })
	return sp
}

// options are those of a sidecar of the peer.
func (p *peer) options(t testing.TB, change ...func(*Options)) Options {
	dir := t.TempDir()
	o := Options{Issuer: p.URL, ClientID: "client", ClientSecret: "secret", DataDir: dir, Version: "1.0.0", Linger: time.Millisecond, Logger: slog.New(slog.DiscardHandler)}
	for _, f := range change {
		f(&o)
	}
	if o.Spool == nil && !o.Local {
		o.Spool = newSpool(t, dir+"/spool")
	}
	return o
}

// clock is a clock that tests move.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Now()} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}
