package policy

import (
	"context"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"
)

// Holder serves the policy in force and replaces it whole. Safe for concurrent use.
type Holder struct {
	options   Options
	current   atomic.Pointer[generation] // never nil
	reloading sync.Mutex                 // one Reload at a time; guards writes to current and status
	status    atomic.Pointer[Status]     // never nil
}

// generation is an engine and the epoch in which it came into force, read together.
type generation struct {
	engine *Engine
	epoch  uint64
}

// Status is for /health and for gauges.
type Status struct {
	Revision    string    // "": there is no policy yet
	Epoch       uint64    // from 1, raised by every successful reload; 0: there is no policy yet
	LoadedAt    time.Time // of the policy in force; zero: there is none
	Failures    uint64    // reloads that kept the old policy
	LastError   error     // of the latest reload; nil when it succeeded
	LastErrorAt time.Time // zero when LastError is nil
}

// NewHolder loads the first policy; without one there is nothing to hold.
func NewHolder(ctx context.Context, folder fs.FS, options Options) (*Holder, error) {
	h := &Holder{options: options.withDefaults()}
	engine, err := New(ctx, folder, h.options)
	if err != nil {
		return nil, err
	}
	h.activate(engine, &Status{})
	return h, nil
}

// NewEmptyHolder holds no policy until Reload brings the first: its revision is
// "", its epoch 0, and every decision a denial, ReasonMissing.
func NewEmptyHolder(options Options) *Holder {
	h := &Holder{options: options.withDefaults()}
	h.current.Store(&generation{engine: missing()})
	h.status.Store(&Status{})
	return h
}

// Reload puts the policy in folder into force. On an error the old one stays
// in force, and Status shows the error until a reload succeeds.
func (h *Holder) Reload(ctx context.Context, folder fs.FS) error {
	return h.ReloadAfter(ctx, folder, func(string) error { return nil })
}

// ReloadAfter is Reload, with a step between the tests of the new policy and
// its taking force, such as writing it down. The step's error keeps the old policy.
func (h *Holder) ReloadAfter(ctx context.Context, folder fs.FS, step func(revision string) error) error {
	h.reloading.Lock()
	defer h.reloading.Unlock()
	status := *h.status.Load()
	engine, err := New(ctx, folder, h.options)
	if err == nil {
		err = step(engine.Revision())
	}
	if err != nil {
		status.Failures++
		status.LastError, status.LastErrorAt = err, h.options.Now()
		h.status.Store(&status)
		return err
	}
	h.activate(engine, &status)
	return nil
}

func (h *Holder) activate(engine *Engine, status *Status) {
	status.Revision = engine.Revision()
	status.Epoch++
	status.LoadedAt = h.options.Now()
	status.LastError, status.LastErrorAt = nil, time.Time{}
	h.current.Store(&generation{engine, status.Epoch})
	h.status.Store(status)
}

// Current is the engine in force and its epoch; they belong together.
func (h *Holder) Current() (*Engine, uint64) {
	g := h.current.Load()
	return g.engine, g.epoch
}

// Decide asks the engine in force; see Engine.Decide.
func (h *Holder) Decide(ctx context.Context, in Input, understood ...string) (Decision, error) {
	return h.current.Load().engine.Decide(ctx, in, understood...)
}

// Epoch of the policy in force. A decision kept from a lower epoch is void.
func (h *Holder) Epoch() uint64 { return h.current.Load().epoch }

// Revision of the policy in force.
func (h *Holder) Revision() string { return h.current.Load().engine.Revision() }

// Status of the policy and of the latest reload.
func (h *Holder) Status() Status { return *h.status.Load() }
