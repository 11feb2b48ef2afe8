package clientauth

import (
	"github.com/dgraph-io/ristretto/v2"

	"github.com/sentryagent/agentidp/idp/internal/store"
)

// gatesKept bounds the gates remembered, some 1.5 KB each.
const gatesKept = 1024

// gates remembers what was read last of clients that proved a secret. Any of it
// may be outdated: see Recall.
type gates struct {
	cache *ristretto.Cache[string, *store.Gate]
}

func newGates() (gates, error) {
	cache, err := ristretto.NewCache(&ristretto.Config[string, *store.Gate]{
		NumCounters: gatesKept * 10, MaxCost: gatesKept, BufferItems: 64, IgnoreInternalCost: true,
	})
	return gates{cache}, err
}

// remember keeps what a token is issued by. The documents, which may be large, are not.
func (g gates) remember(gate store.Gate) {
	gate.Agent.Metadata, gate.Agent.JWKS = nil, nil
	g.cache.Set(gate.Credential.ClientID, &gate, 1)
}

// compare forgets a gate that is not what was read now: soon nothing more is
// signed in vain for a client that ended.
func (g gates) compare(clientID string, read *store.Gate) {
	if kept, held := g.cache.Get(clientID); held && kept.Version() != read.Version() {
		g.cache.Del(clientID)
	}
}

// Recall is Authenticate without a read of the store, for whoever has the store
// admit what follows (store.Admission): the gate may be outdated, and is without
// the agent's documents. It answers only where the secret was proven for that
// gate before. Whatever is refused on its account has to be judged again by what
// Authenticate returns.
func (a *Authenticator) Recall(t Attempt) (store.Gate, bool) {
	if t.Assertion != nil || t.impossible() != "" {
		return store.Gate{}, false
	}
	gate, held := a.gates.cache.Get(t.ClientID)
	if !held || !a.proven(gate, t.Secret) {
		return store.Gate{}, false
	}
	return *gate, true
}
