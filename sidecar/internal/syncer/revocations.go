package syncer

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sentryagent/agentidp/shared/feed"
	"github.com/sentryagent/agentidp/shared/token"
)

// Reasons of Revoked.
const (
	organizationRevoked = "organization_revoked"
	agentRevoked        = "agent_revoked"
	credentialRevoked   = "credential_revoked" //nolint:gosec // a reason
	keyRevoked          = "key_revoked"
	tokenRevoked        = "token_revoked"
)

// expirySlack is how long past its exp a token's entry is kept: longer than
// any clock skew that a verifier grants.
const expirySlack = 5 * time.Minute

// Revocations is everything that was cut off, exactly: nothing is ever dropped
// for lack of room. It is safe for concurrent use.
type Revocations struct {
	now      func() time.Time
	maxStale time.Duration
	unfed    bool // there is no feed: nothing can be stale
	epoch    atomic.Uint64
	seen     atomic.Pointer[time.Time] // when the feed last answered; nil: never
	known    atomic.Bool               // a snapshot was taken in, from the feed or from disk

	mu      sync.RWMutex
	entries revoked // guarded by mu
	cursor  string  // guarded by mu
}

// revoked are the maps from what is named to its epoch, or a token's exp.
type revoked struct {
	organizations, agents, credentials, keys, tokens map[string]int64
}

func newRevoked() revoked {
	return revoked{
		organizations: map[string]int64{}, agents: map[string]int64{}, credentials: map[string]int64{},
		keys: map[string]int64{}, tokens: map[string]int64{},
	}
}

// of is the map of an entry's type; nil for a type that we do not know.
func (r *revoked) of(kind string) map[string]int64 {
	switch kind {
	case feed.TypeOrganization:
		return r.organizations
	case feed.TypeAgent:
		return r.agents
	case feed.TypeCredential:
		return r.credentials
	case feed.TypeKID:
		return r.keys
	case feed.TypeJTI:
		return r.tokens
	}
	return nil
}

// add takes an entry in; false: its type is unknown. Epochs only rise.
func (r *revoked) add(e *feed.Entry) bool {
	kind := r.of(e.Type)
	if kind == nil || e.ID == "" {
		return false
	}
	value := e.Epoch
	if e.Type == feed.TypeJTI {
		value = e.Exp
	}
	if old, known := kind[e.ID]; !known {
		kind[strings.Clone(e.ID)] = value // the decoder's text around it is not kept
	} else if value > old {
		kind[e.ID] = value
	}
	return true
}

func (r *revoked) count() int {
	return len(r.organizations) + len(r.agents) + len(r.credentials) + len(r.keys) + len(r.tokens)
}

func newRevocations(opts Options) *Revocations {
	r := &Revocations{now: opts.Now, maxStale: opts.RevocationMaxStale, entries: newRevoked()}
	opts.Metrics.NewGauge("sidecar_revocation_entries", func() float64 { return float64(r.Len()) })
	opts.Metrics.NewGauge("sidecar_revocation_epoch", func() float64 { return float64(r.Epoch()) })
	opts.Metrics.NewGauge("sidecar_revocation_lag_seconds", func() float64 { return r.age().Seconds() })
	return r
}

// Revoked reports whether the token of the claims was cut off, and by what.
func (r *Revocations) Revoked(c *token.Claims) (reason string, dead bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if epoch, found := r.entries.organizations[c.Organization]; found && c.Rev[0] < epoch {
		return organizationRevoked, true
	}
	if epoch, found := r.entries.agents[c.Subject]; found && c.Rev[1] < epoch {
		return agentRevoked, true
	}
	if epoch, found := r.entries.credentials[c.ClientID]; found && c.Rev[2] < epoch {
		return credentialRevoked, true
	}
	if _, found := r.entries.keys[c.KID]; found {
		return keyRevoked, true
	}
	if _, found := r.entries.tokens[c.JTI]; found {
		return tokenRevoked, true
	}
	return "", false
}

// Stale reports whether the feed has been silent for longer than the bound:
// then nobody knows what was cut off meanwhile.
func (r *Revocations) Stale() bool {
	if r.unfed {
		return false
	}
	at := r.seen.Load()
	return at == nil || age(r.now(), *at) > r.maxStale
}

// Known reports whether there is anything to go by: a snapshot that came from
// the feed or from disk, however old. Without one "the last that was known" is nothing.
func (r *Revocations) Known() bool { return r.unfed || r.known.Load() }

// Epoch rises whenever something was cut off: what was decided under an
// earlier one should be asked again.
func (r *Revocations) Epoch() uint64 { return r.epoch.Load() }

// Len is the number of entries.
func (r *Revocations) Len() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.entries.count()
}

// age since the feed last answered; negative: never.
func (r *Revocations) age() time.Duration {
	at := r.seen.Load()
	if at == nil {
		return -1
	}
	return max(age(r.now(), *at), 0)
}

func (r *Revocations) report(st *Status) {
	st.Revocations, st.RevocationEpoch, st.RevocationCursor = r.Len(), r.Epoch(), r.position()
	st.RevocationAge, st.RevocationsStale = r.age(), r.Stale()
}

func (r *Revocations) position() string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.cursor
}

// revokedKey reports whether tokens and documents signed by the key are dead.
func (r *Revocations) revokedKey(kid string) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	_, found := r.entries.keys[kid]
	return found
}

// apply takes in what happened after the cursor that we had, and answers how
// many entries are of an unknown type.
func (r *Revocations) apply(entries []feed.Entry, cursor string, at time.Time) (unknown int) {
	r.mu.Lock()
	for i := range entries {
		if !r.entries.add(&entries[i]) {
			unknown++
		}
	}
	r.cursor = cursor
	r.mu.Unlock()
	if len(entries) > 0 {
		r.epoch.Add(1)
	}
	r.seen.Store(&at)
	return unknown
}

// replace puts a snapshot in the place of everything before it.
func (r *Revocations) replace(entries revoked, cursor string, at time.Time) {
	r.mu.Lock()
	r.entries, r.cursor = entries, cursor
	r.mu.Unlock()
	r.epoch.Add(1)
	r.seen.Store(&at)
	r.known.Store(true)
}

// prune forgets tokens that nobody accepts any more, and answers how many.
// Readers wait only while entries are removed, not while they are found.
func (r *Revocations) prune() int {
	limit := r.now().Add(-expirySlack).Unix()
	var dead []string
	r.mu.RLock()
	for id, exp := range r.entries.tokens {
		if exp < limit {
			dead = append(dead, id)
		}
	}
	r.mu.RUnlock()
	for part := range slices.Chunk(dead, 1000) {
		r.mu.Lock()
		for _, id := range part {
			if r.entries.tokens[id] < limit { // a longer life may have come between
				delete(r.entries.tokens, id)
			}
		}
		r.mu.Unlock()
	}
	return len(dead)
}
