package proxy

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/shared/decision"
	"github.com/sentryagent/agentidp/shared/policy"
	"github.com/sentryagent/agentidp/shared/token"
	"github.com/sentryagent/agentidp/sidecar/internal/route"
	"github.com/sentryagent/agentidp/sidecar/internal/upstream"
)

// Identity is what a verified token says.
type Identity struct {
	Claims token.Claims
	Scope  []string // the members of the claims' scope; shared: read only
	Digest [32]byte // SHA-256 of the token's text
}

// Verifier decides whether a token is good. raw is borrowed: nothing of it is
// kept. Recall waits for nothing and knows some of the tokens that are good;
// Verify knows all, and may wait for a turn. Errors: *token.Error for a refused
// token (401), *apierr.Error when it cannot decide now (its own status), others 503.
type Verifier interface {
	Recall(raw string) (Identity, bool)
	Verify(ctx context.Context, raw string) (Identity, error)
}

// Revocations knows what was cut off. Stale reports whether the knowledge is
// older than its bound, Known whether there ever was any: a snapshot, or a
// whole journal.
type Revocations interface {
	Revoked(claims *token.Claims) (reason string, revoked bool)
	Stale() bool
	Known() bool
}

// Decider asks the policy. digest is zero without a token. An error comes with
// a denial: policy_error or policy_timeout.
type Decider interface {
	Decide(ctx context.Context, digest [32]byte, in policy.Input) (policy.Decision, error)
}

// Recorder keeps decision records. Append does not keep the pointer. Admit
// answers, before a request is forwarded, whether its record will find room.
// Owe notes n more decisions, or -n fewer, of which only a later record will
// tell: a process that is killed meanwhile leaves the number behind. It costs
// next to nothing.
type Recorder interface {
	Admit() error
	Append(r *decision.Record) (sequence int64, err error)
	Owe(n int64)
}

// Upstream is the default upstream, and what all have in common.
type Upstream = upstream.Options

// Options of a Proxy. Routes, Verifier, Revocations, Decider, Recorder and
// Organizations are required, Upstream.URL unless every route names an upstream;
// a zero value takes its default.
type Options struct {
	Upstream       Upstream
	Routes         *route.Table
	Verifier       Verifier
	Revocations    Revocations
	Decider        Decider
	Recorder       Recorder
	Organizations  func(id string) bool // whose agents may pass
	PolicyRevision func() string        // for the records
	Issuer         string               // that metadata of protected resources name; required where there are any
	TrustedPeers   []netip.Prefix       // whose X-Request-Id and X-Forwarded-* count

	TLS *tls.Config // clients speak TLS; nil: they do not

	MaxBody       int64         // bytes, default 10 MiB
	HeadTimeout   time.Duration // default 15 s
	IdleTimeout   time.Duration // of a client between requests, default 60 s
	WriteTimeout  time.Duration // for a client to take 64 KiB of an answer, default 30 s
	BodyWindow    time.Duration // in which a client must send 1 KiB of a body, default 30 s
	Connections   int           // at once, default 16,384
	MaxPerAddress int           // of them from one address, default three quarters
	Judging       int           // requests in judgement at once, default 256
	JudgingWait   time.Duration // for a place among them, default 250 ms
	Drain         time.Duration // for requests in flight when Serve is to end, default 10 s

	Log     *slog.Logger
	Metrics *metrics.Set
	Now     func() time.Time
	NewID   func() string // unique ids of decisions, default UUIDv4
}

const (
	headBuffer = 24 << 10
	drainTime  = 10 * time.Second
)

func or[T comparable](value, fallback T) T {
	var zero T
	if value == zero {
		return fallback
	}
	return value
}

func (o Options) withDefaults() Options {
	o.MaxBody = or(o.MaxBody, 10<<20)
	o.HeadTimeout = or(o.HeadTimeout, 15*time.Second)
	o.IdleTimeout = or(o.IdleTimeout, time.Minute)
	o.BodyWindow = or(o.BodyWindow, 30*time.Second)
	o.Connections = or(o.Connections, 16<<10)
	o.MaxPerAddress = or(o.MaxPerAddress, o.Connections*3/4)
	o.Judging = or(o.Judging, 256)
	o.JudgingWait = or(o.JudgingWait, 250*time.Millisecond)
	o.Drain = or(o.Drain, drainTime)
	o.Log = or(o.Log, slog.Default())
	o.Metrics = or(o.Metrics, metrics.NewSet())
	o.Upstream.Log = or(o.Upstream.Log, o.Log)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.NewID == nil {
		o.NewID = newID
	}
	if o.PolicyRevision == nil {
		o.PolicyRevision = func() string { return "" }
	}
	return o
}

// check lists what is missing or malformed.
func (o *Options) check() error {
	var problems []error
	for name, missing := range map[string]bool{
		"Routes": o.Routes == nil, "Verifier": o.Verifier == nil, "Revocations": o.Revocations == nil,
		"Decider": o.Decider == nil, "Recorder": o.Recorder == nil, "Organizations": o.Organizations == nil,
	} {
		if missing {
			problems = append(problems, fmt.Errorf("proxy: Options.%s is required", name))
		}
	}
	if o.Upstream.URL != "" {
		_, err := route.ParseUpstream(o.Upstream.URL)
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}

// newID draws a UUIDv4 from the runtime's seeded generator: an id must be
// unique, not secret.
func newID() string {
	var id uuid.UUID
	binary.LittleEndian.PutUint64(id[:8], rand.Uint64()) //nolint:gosec // unique is enough
	binary.LittleEndian.PutUint64(id[8:], rand.Uint64()) //nolint:gosec // unique is enough
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return id.String()
}
