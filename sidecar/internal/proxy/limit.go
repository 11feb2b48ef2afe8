package proxy

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"

	"github.com/sentryagent/agentidp/sidecar/internal/route"
)

const (
	limitShards  = 16
	limitBuckets = 4_096 // in a shard
	limitSweep   = time.Second
)

// limits counts requests on routes with a rate limit, each client by itself. A
// bucket is one moment: when it will be full again. Agents and strangers have
// tables of their own, so that no flood of addresses takes the agents' places.
type limits struct {
	epoch             time.Time
	now               func() time.Time
	seed              maphash.Seed
	agents, strangers [limitShards]buckets
}

// buckets is a bounded part of a table.
type buckets struct {
	mu    sync.Mutex
	full  map[uint64]time.Duration // since the epoch, by key; guarded by mu
	swept time.Duration            // guarded by mu
}

func newLimits(now func() time.Time) *limits {
	return &limits{epoch: now(), now: now, seed: maphash.MakeSeed()}
}

// verdict on one request.
type verdict struct {
	allowed bool
	wait    time.Duration // until the next would be allowed
	reset   time.Duration // until the bucket is full
}

// count takes the request out of its client's bucket, once: of the agent's, or
// on a public route of the address's.
func (p *Proxy) count(x *exchange) *refusal {
	r := x.match.Route
	if r.Rate.Requests == 0 || x.counted {
		return nil
	}
	x.counted = true
	var v verdict
	if x.known {
		v = p.limits.agent(x.identity.Claims.ClientID, r)
	} else {
		v = p.limits.stranger(prefixOf(x.client), r)
	}
	if v.allowed {
		return nil
	}
	return limited(r.Rate, v)
}

func (l *limits) agent(client string, r *route.Route) verdict {
	h := l.hash(r)
	h.WriteString(client)
	return l.take(&l.agents, h.Sum64(), r.Rate)
}

func (l *limits) stranger(from netip.Prefix, r *route.Route) verdict {
	h := l.hash(r)
	address := from.Addr().As16()
	h.Write(address[:])
	return l.take(&l.strangers, h.Sum64(), r.Rate)
}

// hash is of the route, which its ID and any of its methods tell. It is seeded:
// nobody can prepare a name that shares another's bucket.
func (l *limits) hash(r *route.Route) (h maphash.Hash) {
	h.SetSeed(l.seed)
	h.WriteString(r.Methods[0])
	h.WriteString(r.ID)
	h.WriteByte(0)
	return h
}

func (l *limits) take(table *[limitShards]buckets, key uint64, rate route.Rate) verdict {
	return table[key%limitShards].take(key, l.now().Sub(l.epoch), rate)
}

// take is the generic cell rate algorithm: each request moves the moment of
// fullness on by its share of the time, at most by the whole of it.
func (b *buckets) take(key uint64, now time.Duration, rate route.Rate) verdict {
	b.mu.Lock()
	defer b.mu.Unlock()
	key = b.place(key, now)
	share := rate.Per / time.Duration(rate.Requests)
	before := max(b.full[key], now)
	before = min(before, now+rate.Per) // the limit may have been another one
	after := before + share
	if wait := after - now - rate.Per; wait > 0 {
		return verdict{wait: wait, reset: before - now}
	}
	b.full[key] = after
	return verdict{allowed: true, reset: after - now}
}

// place finds room for the key. When there is none, its client shares a bucket
// with all others that find none.
func (b *buckets) place(key uint64, now time.Duration) uint64 {
	if b.full == nil {
		b.full = map[uint64]time.Duration{}
	}
	if _, known := b.full[key]; known || len(b.full) < limitBuckets {
		return key
	}
	if now-b.swept >= limitSweep {
		b.swept = now
		for other, full := range b.full {
			if full <= now {
				delete(b.full, other)
			}
		}
	}
	if len(b.full) < limitBuckets {
		return key
	}
	return 0
}
