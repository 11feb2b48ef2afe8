package syncer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sentryagent/agentidp/shared/durable"
	"github.com/sentryagent/agentidp/shared/token"
)

const keysName = "jwks.json"

// keySource gets key sets from the issuer, and keeps the last good one on disk.
// One fetch at a time.
type keySource struct {
	client *client
	opts   Options
	log    *slog.Logger
	path   string
	kept   keptKeys
}

// keptKeys is the file.
type keptKeys struct {
	Issuer string          `json:"issuer"`
	URL    string          `json:"url"` // as configured, or as the issuer's metadata said
	ETag   string          `json:"etag,omitempty"`
	At     time.Time       `json:"at"` // when the issuer last confirmed it
	JWKS   json.RawMessage `json:"jwks"`
}

var errNoKeys = errors.New("no key set is kept")

func newKeySource(c *client, opts Options) *keySource {
	return &keySource{client: c, opts: opts, log: opts.Logger, path: filepath.Join(opts.DataDir, keysName)}
}

// load reads what is on disk; errNoKeys when there is nothing usable for this issuer.
func (s *keySource) load() (*token.KeySet, time.Time, error) {
	content, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, time.Time{}, errNoKeys
	}
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("syncer: %w", err)
	}
	var kept keptKeys
	if err := json.Unmarshal(content, &kept); err != nil {
		s.log.Warn("the kept key set is damaged; it must be fetched", "error", err)
		return nil, time.Time{}, errNoKeys
	}
	if kept.Issuer != s.opts.Issuer || s.opts.JWKSURL != "" && kept.URL != s.opts.JWKSURL {
		return nil, time.Time{}, errNoKeys
	}
	set, _, err := token.ParseJWKS(kept.JWKS)
	if err != nil {
		s.log.Warn("the kept key set is damaged; it must be fetched", "error", err)
		return nil, time.Time{}, errNoKeys
	}
	s.kept = kept
	// A time ahead of the clock would look fresh for longer than it is.
	return set, earlier(kept.At, s.opts.Now()), nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// errUnchanged says that the issuer confirmed the set that is known.
var errUnchanged = errors.New("key set unchanged")

// fetch asks the issuer.
func (s *keySource) fetch(ctx context.Context) (*token.KeySet, error) {
	address := s.opts.JWKSURL
	if address == "" {
		address = s.kept.URL
	}
	if address == "" {
		var err error
		if address, err = s.discover(ctx); err != nil {
			return nil, err
		}
	}
	set, err := s.get(ctx, address)
	if err != nil && !errors.Is(err, errUnchanged) && s.opts.JWKSURL == "" {
		s.kept.URL = "" // the issuer may have moved it: ask its metadata again
	}
	return set, err
}

func (s *keySource) get(ctx context.Context, address string) (*token.KeySet, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("key set: %w", err)
	}
	request.Header.Set("Accept", "application/jwk-set+json, application/json")
	conditional := s.kept.URL == address && s.kept.ETag != "" && s.kept.JWKS != nil
	if conditional {
		request.Header.Set("If-None-Match", s.kept.ETag)
	}
	a, err := s.client.do(request, token.MaxJWKS)
	if err != nil {
		return nil, fmt.Errorf("key set: %w", err)
	}
	now := s.opts.Now()
	if a.status == http.StatusNotModified && conditional {
		s.kept.At = now
		s.save()
		return nil, errUnchanged
	}
	if a.status != http.StatusOK {
		return nil, fmt.Errorf("key set: %w", refused(a))
	}
	set, skipped, err := token.ParseJWKS(a.body)
	for _, one := range skipped {
		s.log.Warn("a key of the issuer is not usable", "kid", one.KID, "index", one.Index, "reason", one.Reason)
	}
	if err != nil {
		return nil, err
	}
	s.kept = keptKeys{Issuer: s.opts.Issuer, URL: address, ETag: a.header.Get("ETag"), At: now, JWKS: bytes.Clone(a.body)}
	s.save()
	return set, nil
}

// save keeps the set for a start with the issuer away. That it cannot be kept
// is no reason not to use it.
func (s *keySource) save() {
	content, err := json.Marshal(s.kept)
	if err == nil {
		err = durable.WriteFile(s.path, content)
	}
	if err != nil {
		s.log.Warn("the key set cannot be kept", "error", err)
	}
}

// discover asks the issuer's metadata (RFC 8414; OpenID Connect Discovery for
// an issuer that only has that) where the keys are.
func (s *keySource) discover(ctx context.Context) (string, error) {
	var last error
	for _, address := range metadataURLs(s.opts.Issuer) {
		found, err := s.metadata(ctx, address)
		if err == nil {
			return found, nil
		}
		last = err
		var r *refusal
		if !errors.As(err, &r) || r.status != http.StatusNotFound {
			break
		}
	}
	return "", fmt.Errorf("issuer metadata: %w", last)
}

// metadataURLs puts the well-known part between host and path (RFC 8414
// section 3.1), and behind the path for OpenID Connect.
func metadataURLs(issuer string) []string {
	u, err := url.Parse(issuer)
	if err != nil {
		return nil
	}
	path := strings.TrimSuffix(u.Path, "/")
	origin := u.Scheme + "://" + u.Host
	return []string{
		origin + "/.well-known/oauth-authorization-server" + path,
		origin + path + "/.well-known/openid-configuration",
	}
}

func (s *keySource) metadata(ctx context.Context, address string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", err
	}
	request.Header.Set("Accept", "application/json")
	a, err := s.client.do(request, maxAnswer)
	if err != nil {
		return "", err
	}
	if a.status != http.StatusOK {
		return "", refused(a)
	}
	var body struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(a.body, &body); err != nil {
		return "", fmt.Errorf("not JSON: %w", err)
	}
	if body.Issuer != s.opts.Issuer {
		return "", fmt.Errorf("it is of issuer %.200q", body.Issuer)
	}
	u, err := url.Parse(body.JWKSURI)
	if err != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || strings.HasPrefix(s.opts.Issuer, "https:")) {
		return "", fmt.Errorf("jwks_uri %.200q is not a URL to trust", body.JWKSURI)
	}
	return body.JWKSURI, nil
}
