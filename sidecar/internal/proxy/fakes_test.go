package proxy_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/sentryagent/agentidp/shared/capability"
	"github.com/sentryagent/agentidp/shared/decision"
	"github.com/sentryagent/agentidp/shared/policy"
	"github.com/sentryagent/agentidp/shared/token"
	"github.com/sentryagent/agentidp/sidecar/internal/proxy"
)

// recorder keeps records in memory, the spool's way: full means that Admit
// refuses, broken that Append does too.
type recorder struct {
	mu           sync.Mutex
	records      []decision.Record
	starts       []decision.Record // of streams: whatever takes longer than a second is one
	owed, most   int64             // of it
	full, broken bool
	startless    bool // the records of starts find no room
}

var errFull = errors.New("full")

func (r *recorder) Owe(n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.owed += n
	r.most = max(r.most, r.owed)
}

func (r *recorder) owedAtMost() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.most
}

func (r *recorder) owes() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.owed
}

func (r *recorder) Admit() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.full || r.broken {
		return errFull
	}
	return nil
}

func (r *recorder) Append(record *decision.Record) (int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.broken || r.startless && record.Reason == "stream_started" {
		return -1, errFull
	}
	if record.Reason == "stream_started" {
		r.starts = append(r.starts, *record)
	} else {
		r.records = append(r.records, *record)
	}
	return int64(len(r.records) + len(r.starts) - 1), nil
}

func (r *recorder) refuseStarts() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.startless = true
}

func (r *recorder) set(full, broken bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.full, r.broken = full, broken
}

func (r *recorder) all() []decision.Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.records)
}

// take is all, which is then forgotten.
func (r *recorder) take() []decision.Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := r.records
	r.records, r.starts = nil, nil
	return taken
}

func (r *recorder) started() []decision.Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.starts)
}

// revocations in memory.
type revocations struct {
	mu      sync.Mutex
	jti     map[string]bool
	stale   bool
	unknown bool
}

func (r *revocations) Revoked(c *token.Claims) (string, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return "token_revoked", r.jti[c.JTI]
}

func (r *revocations) Stale() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stale
}

func (r *revocations) Known() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.unknown
}

func (r *revocations) set(change func(*revocations)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(r)
}

// verifier is the real token verification, without a cache.
type verifier struct{ *token.Verifier }

func (verifier) Recall(string) (proxy.Identity, bool) { return proxy.Identity{}, false }

func (v verifier) Verify(ctx context.Context, raw string) (proxy.Identity, error) {
	claims, err := v.Verifier.Verify(ctx, raw)
	return proxy.Identity{Claims: claims, Scope: strings.Fields(claims.Scope), Digest: sha256.Sum256([]byte(raw))}, err
}

// decider covers capabilities, and remembers what it was asked.
type decider struct {
	mu     sync.Mutex
	inputs []policy.Input
	answer func(policy.Input) (policy.Decision, error) // nil: by capability
}

func (d *decider) Decide(_ context.Context, digest [32]byte, in policy.Input) (policy.Decision, error) {
	d.mu.Lock()
	d.inputs = append(d.inputs, in)
	answer := d.answer
	d.mu.Unlock()
	if answer != nil {
		return answer(in)
	}
	if in.Route.Capability == policy.Public {
		return policy.Decision{Allow: true, Reason: policy.ReasonPublic}, nil
	}
	if digest == [32]byte{} {
		return policy.Decision{Reason: "no_digest"}, nil
	}
	set, err := capability.NewSet(in.Token.Scope)
	if err != nil {
		return policy.Unavailable(policy.ReasonError, err)
	}
	if !set.Covers(capability.Capability(in.Route.Capability)) {
		return policy.Decision{Reason: policy.ReasonCapabilityMissing}, nil
	}
	return policy.Decision{Allow: true, Reason: policy.ReasonCapability}, nil
}

func (d *decider) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.inputs = nil
}

func (d *decider) set(answer func(policy.Input) (policy.Decision, error)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answer = answer
}
