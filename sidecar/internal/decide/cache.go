package decide

import (
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
	"time"
	"unsafe"

	"github.com/VictoriaMetrics/metrics"

	"github.com/sentryagent/agentidp/shared/policy"
	bounded "github.com/sentryagent/agentidp/sidecar/internal/cache"
)

// key is everything a decision depends on: the route, the policy, and what the
// policy can read of token and request; the rest is zero. Of a policy that reads
// no more of the token than its scope, all tokens of one scope share decisions.
type key struct {
	digest            [32]byte // of a token that is read
	epoch             uint64
	route, capability string
	method, host      string
	path, peer        string
	rpc               policy.RPC
}

func newKey(digest *[32]byte, in *policy.Input, engine *policy.Engine, epoch uint64) key {
	k := key{epoch: epoch, route: in.Route.ID, capability: in.Route.Capability}
	use := engine.Uses()
	if use.Identity {
		k.digest = *digest
	}
	if use.Method {
		k.method = in.Request.Method
	}
	if use.Host {
		k.host = in.Request.Host
	}
	if use.Path {
		k.path = in.Request.Path
	}
	if use.Peer {
		k.peer = in.Request.Peer
	}
	if use.RPC && in.RPC != nil {
		k.rpc = *in.RPC // its protocol is never ""
	}
	return k
}

// scopeOf is the part of a key that == cannot compare: the scope, where it is read
// and no digest stands for it.
func scopeOf(in *policy.Input, engine *policy.Engine) []string {
	if use := engine.Uses(); use.Scope && !use.Identity {
		return in.Token.Scope
	}
	return nil
}

// standsFor tells whether digest stands for the whole of in.Agent and
// in.Token: without a token only if they are empty.
func standsFor(digest *[32]byte, in *policy.Input) bool {
	t := &in.Token
	return *digest != [32]byte{} ||
		in.Agent == policy.Agent{} && t.JTI == "" && len(t.Audience) == 0 && len(t.Scope) == 0 && t.ExpiresAt == 0
}

// clone copies the strings, which may be borrowed from the request.
func (k key) clone() key {
	for _, s := range []*string{&k.route, &k.capability, &k.method, &k.host, &k.path, &k.peer, &k.rpc.Protocol, &k.rpc.Method, &k.rpc.Name} {
		*s = strings.Clone(*s)
	}
	return k
}

// entryBytes is what an entry costs besides its strings: struct and map slots.
const entryBytes = 512

func (k *key) bytes(scope []string) int64 {
	size := 0
	for _, s := range scope {
		size += len(s) + int(unsafe.Sizeof(s))
	}
	return int64(size + entryBytes + len(k.route) + len(k.capability) + len(k.method) + len(k.host) + len(k.path) + len(k.peer) +
		len(k.rpc.Protocol) + len(k.rpc.Method) + len(k.rpc.Name))
}

// entry is immutable. It carries its whole key, because the cache finds it by
// a 64-bit hash only.
type entry struct {
	key      key
	scope    []string
	decision policy.Decision
	until    int64 // Unix nanoseconds
}

// cache may drop or delay what it is given; it never gives back another key's
// decision, nor one past its time.
type cache struct {
	entries *bounded.Cache[*entry]
	seed    maphash.Seed
	mask    uint64 // of the hash; a test narrows it to force collisions
	maxTTL  time.Duration
	now     func() time.Time

	hits, misses, dropped *metrics.Counter
}

func newCache(o Options) (*cache, error) {
	c := &cache{
		seed:    maphash.MakeSeed(),
		mask:    ^uint64(0),
		maxTTL:  o.MaxTTL,
		now:     o.Now,
		hits:    o.Metrics.NewCounter("sidecar_decision_cache_hits_total"),
		misses:  o.Metrics.NewCounter("sidecar_decision_cache_misses_total"),
		dropped: o.Metrics.NewCounter("sidecar_decision_cache_dropped_total"),
	}
	var err error
	if c.entries, err = bounded.New[*entry](o.CacheBytes, o.CacheBytes/entryBytes, c.dropped.Inc); err != nil {
		return nil, fmt.Errorf("remembered decisions: %w", err)
	}
	return c, nil
}

func (c *cache) get(k key, scope []string) (policy.Decision, bool) {
	found, ok := c.entries.Get(c.hash(&k, scope))
	if !ok || found.key != k || !slices.Equal(found.scope, scope) || c.now().UnixNano() >= found.until {
		c.misses.Inc()
		return policy.Decision{}, false
	}
	c.hits.Inc()
	return found.decision, true
}

// put keeps a decision until the token expires (Unix seconds; 0 without a
// token), at most for maxTTL. One of a policy that does not read the token's end
// outlasts it: the token's end is no matter of the decision.
func (c *cache) put(k key, scope []string, decision policy.Decision, expiresAt int64) {
	now := c.now()
	ttl := c.maxTTL
	if k.digest != [32]byte{} {
		ttl = min(ttl, time.Unix(expiresAt, 0).Sub(now))
	}
	if ttl <= 0 {
		return
	}
	kept := &entry{key: k.clone(), decision: decision, until: now.Add(ttl).UnixNano()}
	for _, s := range scope {
		kept.scope = append(kept.scope, strings.Clone(s))
	}
	if !c.entries.Set(c.hash(&k, scope), kept, k.bytes(scope)) {
		c.dropped.Inc()
	}
}

// hash is seeded, so that nobody outside can prepare keys that push each other
// out. It leaves out the epoch: a new policy's decision replaces the old one in place.
func (c *cache) hash(k *key, scope []string) uint64 {
	const odd = 0x9e3779b97f4a7c15 // spreads what order the strings have
	h := maphash.Bytes(c.seed, k.digest[:])
	for _, s := range [...]string{k.route, k.capability, k.method, k.host, k.path, k.peer, k.rpc.Protocol, k.rpc.Method, k.rpc.Name} {
		h *= odd
		if s != "" {
			h ^= maphash.String(c.seed, s)
		}
	}
	for _, s := range scope {
		h = h*odd ^ maphash.String(c.seed, s)
	}
	return h & c.mask
}
