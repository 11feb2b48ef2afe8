package sqlite

import (
	"sync"
	"sync/atomic"

	"github.com/sentryagent/agentidp/idp/internal/store"
)

// gateLimit bounds the gates remembered, some 2 KB each.
const gateLimit = 1024

// gates remembers what authentication reads, for as long as no commit changed
// a row that it is made of. One process has the file and one connection writes
// to it, so every change passes here: a gate that is remembered is the one that a
// statement would read, but for LastAuthAt and LastUsedAt, which lag anyway.
type gates struct {
	// epoch is odd while a change is being committed, when it cannot be told which
	// readers see it, and even otherwise. It never repeats.
	epoch atomic.Uint64
	mu    sync.RWMutex // guards what follows
	of    uint64       // the epoch that all of the gates were read in
	all   map[string]store.Gate
}

// hold is the gate of a client id as of now. Without one, it is read, and the
// caller may keep what it read by the epoch returned.
func (g *gates) hold(clientID string) (gate store.Gate, epoch uint64, held bool) {
	epoch = g.epoch.Load()
	g.mu.RLock()
	defer g.mu.RUnlock()
	if g.of == epoch {
		gate, held = g.all[clientID]
	}
	return gate, epoch, held
}

// keep remembers a gate that was read after epoch was the current one.
func (g *gates) keep(clientID string, gate store.Gate, epoch uint64) {
	if epoch%2 == 1 || g.epoch.Load() != epoch {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.of != epoch || len(g.all) >= gateLimit {
		g.of, g.all = epoch, make(map[string]store.Gate)
	}
	g.all[clientID] = gate
}

// over does a commit, after which no gate from before it is held where it may
// have changed one, whatever came of it.
func (g *gates) over(changed bool, commit func() error) error {
	if changed {
		g.epoch.Add(1)
		defer g.epoch.Add(1)
	}
	return commit()
}

// keepsGates are the statements that write nothing a gate shows: those of a
// token's admission and of the log. After any other, gates are read again.
var keepsGates = map[string]bool{
	admissionCount: true, admissionRank: true, admissionSpend: true, admissionTouchAgent: true, admissionTouchCredential: true,
	eventInsert: true, eventInsertMany: true, eventSpan: true, eventKind: true, eventTarget: true, statAdd: true,
	treeExtend: true, treeInsert: true, treeResize: true, treeSaveCheckpoint: true,
}

// remember is read, or what it read before.
func (g *gates) remember(clientID string, read func() (store.Gate, error)) (store.Gate, error) {
	if g == nil {
		return read()
	}
	gate, epoch, held := g.hold(clientID)
	if held {
		return gate, nil
	}
	gate, err := read()
	if err == nil {
		g.keep(clientID, gate, epoch)
	}
	return gate, err
}
