package auditlog

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/sentryagent/agentidp/idp"
)

// A flood of refusals before authentication costs the log 20 events and one
// summary per window and source, however fast it comes.
const (
	foldSingles = 20
	foldWindow  = 10 * time.Second
	foldKeys    = 10_000 // sources remembered at once; the rest share one window per organization and action
	countWindow = time.Minute
	foldTargets = 10 // clients that a summary names
)

type foldKey struct {
	prefix       string // client address, IPv6 as its /64
	organization string
	action       idp.Action
	reason       string
}

type fold struct {
	opened  time.Time
	length  time.Duration
	singles int
	count   int64
	last    idp.Event
	targets map[string]int64 // how often each client was tried; at most foldTargets, the rest under ""
	agents  map[string]bool  // likewise
}

// folds are the open windows.
type folds struct {
	mu      sync.Mutex
	windows map[foldKey]*fold
}

// Refuse records a refusal of somebody who is not authenticated: durable for
// the first of a window, then counted and written as one event with "count".
func (l *Log) Refuse(ctx context.Context, e idp.Event) error {
	if l.folds.single(e, l.opts.Now()) {
		return l.Append(ctx, e)
	}
	l.metrics.folded.Inc()
	return nil
}

// Count records something that gets no event of its own: one summary a minute.
func (l *Log) Count(e idp.Event) {
	l.folds.add(foldKey{organization: e.OrganizationID, action: e.Action, reason: e.Reason}, e, l.opts.Now(), countWindow, 0)
	l.metrics.folded.Inc()
}

// single reports whether e gets an event of its own; otherwise it is counted.
func (f *folds) single(e idp.Event, now time.Time) bool {
	key := foldKey{prefix: addressPrefix(e.IPAddress), organization: e.OrganizationID, action: e.Action, reason: e.Reason}
	return f.add(key, e, now, foldWindow, foldSingles)
}

func (f *folds) add(key foldKey, e idp.Event, now time.Time, length time.Duration, singles int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := f.windows[key]
	if w == nil {
		if len(f.windows) >= foldKeys {
			key.prefix, key.reason = "", "many"
			e.IPAddress, e.Reason = "", "many"
			w = f.windows[key]
		}
		if w == nil {
			w = &fold{opened: now, length: length, targets: map[string]int64{}, agents: map[string]bool{}}
			f.windows[key] = w
		}
	}
	if w.singles < singles {
		w.singles++
		return true
	}
	w.count++
	w.last = e
	w.agents[e.AgentID] = true
	if len(w.agents) > foldTargets {
		delete(w.agents, e.AgentID) // that there are several is known
	}
	if client, _ := e.Metadata["clientId"].(string); client != "" {
		if _, named := w.targets[client]; !named && len(w.targets) >= foldTargets {
			client = ""
		}
		w.targets[client]++
	}
	return false
}

// summary is the event that stands for all that got none of their own.
func (w *fold) summary() idp.Event {
	e := w.last
	e.RequestID, e.UserAgent = "", ""
	if len(w.agents) > 1 {
		e.AgentID = ""
	}
	e.Metadata = map[string]any{"count": w.count, "since": w.opened.UTC().Format(idp.TimeLayout)}
	clients := map[string]any{}
	for client, count := range w.targets {
		if client == "" {
			client = "others"
		}
		clients[client] = count
	}
	if len(clients) > 0 {
		e.Metadata["clients"] = clients
	}
	return e
}

// due closes windows whose time is up and returns their summaries.
func (f *folds) due(now time.Time) []idp.Event {
	return f.close(func(w *fold) bool { return now.Sub(w.opened) >= w.length })
}

// all closes every window.
func (f *folds) all() []idp.Event { return f.close(func(*fold) bool { return true }) }

func (f *folds) close(when func(*fold) bool) []idp.Event {
	f.mu.Lock()
	defer f.mu.Unlock()
	var events []idp.Event
	for key, w := range f.windows {
		if !when(w) {
			continue
		}
		delete(f.windows, key)
		if w.count == 0 {
			continue
		}
		events = append(events, w.summary())
	}
	return events
}

func addressPrefix(address string) string {
	parsed, err := netip.ParseAddr(address)
	if err != nil || parsed.Unmap().Is4() {
		return address
	}
	prefix, err := parsed.WithZone("").Prefix(64)
	if err != nil {
		return address
	}
	return prefix.String()
}
