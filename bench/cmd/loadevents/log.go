package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// verb is what happened, and how large its share is.
type verb struct {
	action, outcome string
	share           float64
}

// verbs are skewed as a busy installation's are: most events are tokens and
// decisions, some happen a hundred times in ten million.
var verbs = []verb{
	{"token.issued", "success", 0.55}, {"decision.allowed", "success", 0.33}, {"decision.denied", "denied", 0.05},
	{"token.refused", "denied", 0.02}, {"token.refused", "failure", 0.01}, {"request.denied", "denied", 0.01},
	{"request.unauthenticated", "denied", 0.01}, {"token.revoked", "success", 0.0085}, {"agent.created", "success", 0.004},
	{"agent.updated", "success", 0.003}, {"credential.created", "success", 0.002}, {"credential.rotated", "success", 0.001},
	{"decision.error", "failure", 0.0008}, {"agent.suspended", "success", 0.0004}, {"credential.revoked", "success", 0.0002},
	{"audit.exported", "success", 0.00005}, {"agent.decommissioned", "success", 0.00003}, {"policy.reloaded", "success", 0.00001},
	{"decision.gap", "failure", 0.00001},
}

// event is a row of the log; organization and verb are numbers.
type event struct {
	sequence           int64
	organization, verb int
	agentID, id        string
	timestamp          int64 // Unix milliseconds
	body               []byte
	hashes             []tlog.Hash // of the tree, that this leaf completes
}

// log makes the events, the same ones for the same arguments.
type log struct {
	events        int64
	organizations []string
	first, last   time.Time
	random        *rand.Rand
	next          int64
	frontier      map[int64]tlog.Hash
}

func newLog(events int64, organizations, months int, now time.Time) *log {
	l := &log{
		events: events, first: now.AddDate(0, -months, 0), last: now,
		random: rand.New(rand.NewPCG(1, 2)), frontier: map[int64]tlog.Hash{},
	}
	for i := range organizations {
		l.organizations = append(l.organizations, fmt.Sprintf("%08x-0000-4000-8000-000000000000", i))
	}
	return l
}

// plan is that of an organization: a third are customs.
func plan(organization int) string {
	if organization%3 == 0 {
		return "custom"
	}
	return "free"
}

// make returns the next event.
func (l *log) make() (event, error) {
	s := l.next
	l.next++
	e := event{
		sequence: s, verb: l.pick(), organization: int(math.Pow(float64(len(l.organizations)), l.random.Float64())) - 1,
		timestamp: l.first.UnixMilli() + int64(float64(l.last.Sub(l.first).Milliseconds())*float64(s)/float64(l.events)),
	}
	// The first organizations are the largest; each has a few busy agents and many that are seldom seen.
	agents := float64(20 + 20_000/(e.organization+1))
	e.agentID = fmt.Sprintf("%08x-0000-4000-8000-%012x", e.organization, int(math.Pow(l.random.Float64(), 3)*agents))
	e.id = fmt.Sprintf("%08x-%04x-7%03x-8%03x-%012x", e.timestamp>>16, e.timestamp&0xffff, l.random.IntN(1<<12), l.random.IntN(1<<12), l.random.Int64N(1<<48))
	e.body = l.body(e)
	return e, l.grow(&e)
}

func (l *log) pick() int {
	at := l.random.Float64()
	for i, v := range verbs {
		if at -= v.share; at < 0 {
			return i
		}
	}
	return 0
}

// body is as long and as hard to compress as a token's event.
func (l *log) body(e event) []byte {
	v := verbs[e.verb]
	var b strings.Builder
	fmt.Fprintf(&b, `{"action":%q,"agentId":%q,"eventId":%q,"ipAddress":"203.0.113.%d",`, v.action, e.agentID, e.id, l.random.IntN(256))
	fmt.Fprintf(&b, `"metadata":{"clientId":"aidp_c_%016x","credentialId":"%016x","jti":"%016x-%016x","scope":"agents:read notes:read"},`,
		l.random.Uint64(), l.random.Uint64(), l.random.Uint64(), l.random.Uint64())
	fmt.Fprintf(&b, `"organizationId":%q,"outcome":%q,"requestId":"%016x%016x","sequence":%d,"timestamp":%q,"userAgent":"agentidp-go/1.0"}`,
		l.organizations[e.organization], v.outcome, l.random.Uint64(), l.random.Uint64(), e.sequence,
		time.UnixMilli(e.timestamp).UTC().Format("2006-01-02T15:04:05.000Z"))
	return []byte(b.String())
}

// grow computes the hashes that the event completes; those that a later one
// needs are the roots of whole subtrees, at most one a level.
func (l *log) grow(e *event) error {
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		found := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			found[i] = l.frontier[index]
		}
		return found, nil
	})
	hashes, err := tlog.StoredHashes(e.sequence, e.body, reader)
	if err != nil {
		return err
	}
	e.hashes = hashes
	for level := range hashes { // the subtrees below the highest are never asked for again
		if level > 0 {
			delete(l.frontier, tlog.StoredHashIndex(level-1, (e.sequence>>(level-1))-1))
		}
	}
	top := len(hashes) - 1
	l.frontier[tlog.StoredHashIndex(top, e.sequence>>top)] = hashes[top]
	return nil
}
