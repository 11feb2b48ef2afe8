// Package syncer is the sidecar's side of the IdP: it keeps the key set and
// the revocations current, ships the decisions, and holds the credential that
// the sidecar does so with. Everything it learns is on disk, so that a restart
// with the IdP away knows what was known before.
package syncer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/sentryagent/agentidp/shared/feed"
	"github.com/sentryagent/agentidp/shared/policy"
	"github.com/sentryagent/agentidp/sidecar/internal/spool"
)

// Defaults of Options.
const (
	DefaultKeysTTL            = 5 * time.Minute
	DefaultKeysCooldown       = 10 * time.Second
	DefaultKeysMaxStale       = 24 * time.Hour
	DefaultRevocationMaxStale = 15 * time.Minute
	DefaultLinger             = 200 * time.Millisecond
	flushTime                 = 5 * time.Second
)

// Options of New. Issuer, DataDir and, unless Local, ClientID, ClientSecret and
// Spool are required.
type Options struct {
	Issuer  string // compared byte for byte
	IdPURL  string // where the IdP is reached; "": Issuer
	JWKSURL string // "": from the issuer's metadata
	// Local: a foreign issuer. No credential, no revocation feed, no shipping;
	// only the key set is kept.
	Local        bool
	ClientID     string
	ClientSecret string
	DataDir      string // of this sidecar alone

	Name           string        // of the sidecar, for people; visible ASCII, at most 128, may be empty
	Version        string        // of the sidecar, for the IdP
	PolicyRevision func() string // the one in force, for the IdP
	// TakePolicy puts the policy of a verified bundle into force; its error keeps
	// the one before. nil: the policy does not come from the IdP.
	TakePolicy func(ctx context.Context, bundle *policy.OpenedBundle) error

	KeysTTL            time.Duration // between refreshes of the key set
	KeysCooldown       time.Duration // between fetches, whatever asks for them
	KeysMaxStale       time.Duration // how long the last key set is trusted
	RevocationMaxStale time.Duration // how long the last contact with the feed is trusted
	PollWait           time.Duration // of a long poll, whole seconds; 0: feed.MaxWait
	Linger             time.Duration // how long decisions wait for company; 0: DefaultLinger

	Spool     *spool.Spool
	Transport http.RoundTripper // nil: a transport with timeouts, and TLS
	TLS       *tls.Config       // nil: system roots, no client certificate
	Now       func() time.Time  // nil: time.Now
	Logger    *slog.Logger      // nil: slog.Default
	Metrics   *metrics.Set      // nil: not exposed
}

func (o Options) complete() (Options, error) {
	if o.Issuer == "" || o.DataDir == "" {
		return o, errors.New("syncer: Issuer and DataDir are required")
	}
	if !o.Local && (o.ClientID == "" || o.ClientSecret == "" || o.Spool == nil) {
		return o, errors.New("syncer: ClientID, ClientSecret and Spool are required")
	}
	if o.IdPURL == "" {
		o.IdPURL = o.Issuer
	}
	o.IdPURL = strings.TrimSuffix(o.IdPURL, "/")
	for _, address := range []string{o.IdPURL, o.JWKSURL} {
		if u, err := url.Parse(address); address != "" && (err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http") {
			return o, fmt.Errorf("syncer: %q is not an http or https URL", address)
		}
	}
	o.KeysTTL = positive(o.KeysTTL, DefaultKeysTTL)
	o.KeysCooldown = positive(o.KeysCooldown, DefaultKeysCooldown)
	o.KeysMaxStale = positive(o.KeysMaxStale, DefaultKeysMaxStale)
	o.RevocationMaxStale = positive(o.RevocationMaxStale, DefaultRevocationMaxStale)
	o.PollWait = min(positive(o.PollWait, feed.MaxWait*time.Second), feed.MaxWait*time.Second).Truncate(time.Second)
	o.Linger = positive(o.Linger, DefaultLinger)
	if o.PolicyRevision == nil {
		o.PolicyRevision = func() string { return "" }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Metrics == nil {
		o.Metrics = metrics.NewSet()
	}
	return o, nil
}

func positive(d, otherwise time.Duration) time.Duration {
	if d <= 0 {
		return otherwise
	}
	return d
}

// Syncer keeps one sidecar in step with its IdP. Keys and Revocations answer
// from the moment New returned, out of what was on disk; Run keeps them current.
type Syncer struct {
	opts        Options
	client      *client
	identity    *identity
	credential  *credential // nil when Local
	keys        *Keys
	revocations *Revocations
	feed        *follower // nil when Local
	shipper     *shipper  // nil when Local
	bundle      *bundler  // nil unless TakePolicy
}

// New reads what is on disk, and puts a policy that it finds there into force.
// It talks to nobody.
func New(ctx context.Context, opts Options) (*Syncer, error) {
	opts, err := opts.complete()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(opts.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("syncer: %w", err)
	}
	s := &Syncer{opts: opts, client: newClient(opts.Transport, opts.TLS)}
	if s.identity, err = loadIdentity(opts.DataDir, opts.Issuer, opts.ClientID); err != nil {
		return nil, err
	}
	if s.keys, err = newKeys(s.client, opts); err != nil {
		return nil, err
	}
	s.revocations = newRevocations(opts)
	if opts.Local {
		s.revocations.unfed = true
		return s, nil
	}
	s.credential = newCredential(s.client, s.identity, opts)
	caller := &caller{client: s.client, credential: s.credential, identity: s.identity, opts: opts}
	if s.feed, err = newFollower(caller, s.keys, s.revocations, opts); err != nil {
		return nil, err
	}
	s.shipper = newShipper(caller, opts)
	if opts.TakePolicy != nil {
		s.bundle = newBundler(caller, s.keys, s.revocations, opts)
		if err := s.bundle.load(ctx); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Run works until ctx ends, then tries for a few seconds to ship what is left.
func (s *Syncer) Run(ctx context.Context) {
	var work sync.WaitGroup
	work.Go(func() { s.keys.run(ctx) })
	if s.feed != nil {
		work.Go(func() { s.feed.run(ctx) })
		work.Go(func() { s.shipper.run(ctx) })
	}
	if s.bundle != nil {
		work.Go(func() { s.bundle.run(ctx) })
	}
	work.Wait()
	s.keys.close()
	s.client.close()
	if s.feed != nil {
		if err := s.feed.journal.close(); err != nil {
			s.opts.Logger.Warn("the revocation journal did not close well", "error", err)
		}
	}
}

// Keys is the issuer's key set.
func (s *Syncer) Keys() *Keys { return s.keys }

// Revocations is what was cut off.
func (s *Syncer) Revocations() *Revocations { return s.revocations }

// Organization is the one that the sidecar's own agent belongs to; "" until it
// was learnt for the first time, and always when Local.
func (s *Syncer) Organization() string { return s.identity.organization() }

// ID names this sidecar to the IdP: a UUID made once per data folder.
func (s *Syncer) ID() string { return s.identity.id }

// Status is what /ready and an operator want to know.
type Status struct {
	Organization string

	Keys       int           // usable keys
	KeysEpoch  uint64        // raised with each change of the set
	KeysAge    time.Duration // since the issuer confirmed the set; < 0: never
	KeysStale  bool
	KeysFailed string // why the last fetch failed; "" when it did not

	Revocations       int    // entries
	RevocationCursor  string // the last acknowledged
	RevocationEpoch   uint64 // raised with each entry applied
	RevocationAge     time.Duration
	RevocationsStale  bool
	RevocationsFailed string

	DecisionLag     time.Duration // age of the oldest decision not shipped; 0: none
	DecisionsFailed string

	PolicyFailed string // why the last bundle did not come into force; "" when none failed
}

// Ready reports whether the sidecar can decide: keys and revocations are
// known and fresh. Whose agents may pass is another matter: see Organization.
func (s Status) Ready() bool {
	return !s.KeysStale && !s.RevocationsStale
}

// Status answers the state of this moment.
func (s *Syncer) Status() Status {
	st := Status{Organization: s.identity.organization()}
	s.keys.report(&st)
	s.revocations.report(&st)
	if s.feed != nil {
		st.RevocationsFailed = s.feed.trouble.text()
		s.shipper.report(&st)
	}
	if s.bundle != nil {
		st.PolicyFailed = s.bundle.trouble.text()
	}
	return st
}
