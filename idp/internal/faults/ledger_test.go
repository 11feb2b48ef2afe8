package faults

import (
	"net/http"
	"strings"
	"sync"
	"time"
)

// kind is what a request wants to have done.
type kind string

const (
	create     kind = "create"     // an agent
	credential kind = "credential" // for an agent
	issue      kind = "issue"      // a token
	rotate     kind = "rotate"     // a credential
	revoke     kind = "revoke"     // a token
	withdraw   kind = "withdraw"   // a credential
	suspend    kind = "suspend"    // an agent
	remove     kind = "delete"     // an agent
)

// actions are the events that tell of a kind.
var actions = map[kind]string{
	create: "agent.created", credential: "credential.created", issue: "token.issued", rotate: "credential.rotated",
	revoke: "token.revoked", withdraw: "credential.revoked", suspend: "agent.suspended", remove: "agent.decommissioned",
}

// told is what a client knows after a request.
type told int

const (
	unknown told = iota // no answer, or one that says so
	yes
	no
)

// deed is one request and what its client was told.
type deed struct {
	id       string // X-Request-Id
	kind     kind
	told     told
	status   int
	reply    string // of a refusal
	key      string // Idempotency-Key
	replayed bool   // the answer was made before

	retryAfter string
	sent, done time.Time

	// What it was about, as far as the client knows.
	email, agentID, credentialID, clientID, jti string
}

// shed reports whether the machine was too busy for the request, which is no
// fault; nothing was done.
func (d *deed) shed() bool {
	return d.told == no && d.status == http.StatusServiceUnavailable && strings.Contains(d.reply, "OVERLOADED")
}

// busy reports whether the answer blames the moment: who hears it asks again.
// The deadlines of the product are those of a machine with cores to spare, and
// here a goroutine may wait a second for one.
func (d *deed) busy() bool { return d.status == http.StatusServiceUnavailable && d.retryAfter != "" }

// excused is busy where that says nothing about the fault: in the short form,
// which shares the machine with other tests.
func (d *deed) excused() bool { return d.shed() || !full() && d.busy() }

// ledger is safe for concurrent use.
type ledger struct {
	mu    sync.Mutex
	deeds []deed
}

func (l *ledger) add(d deed) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deeds = append(l.deeds, d)
}

func (l *ledger) all() []deed {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]deed(nil), l.deeds...)
}

// count is the number of deeds that pass.
func (l *ledger) count(pass func(*deed) bool) int {
	deeds, n := l.all(), 0
	for i := range deeds {
		if pass(&deeds[i]) {
			n++
		}
	}
	return n
}
