package clientauth

import (
	"context"
	"sync"

	"github.com/sentryagent/agentidp/idp/internal/store"
)

// flights are the proofs under way: the same secret for the same client in the
// same version is hashed once, however many ask at once. After a rotation a busy
// client would fill the line by itself.
type flights struct {
	mu  sync.Mutex
	all map[flightKey]*flight
}

// join gives the flight under way, or begins it: who leads has to land it.
func (s *flights) join(key flightKey) (f *flight, leads bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f, under := s.all[key]; under {
		return f, false
	}
	f = &flight{done: make(chan struct{})}
	s.all[key] = f
	return f, true
}

func (s *flights) land(key flightKey, f *flight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, key)
	close(f.done)
}

type flightKey struct {
	client string
	digest proof
}

type flight struct {
	done  chan struct{}
	found finding
	err   error
}

// proveOnce is prove, shared by those who ask the same at the same time. One
// whose leader failed, such as by leaving, tries again by itself.
func (a *Authenticator) proveOnce(ctx context.Context, t Attempt, gate *store.Gate, known bool) (finding, error) {
	key := flightKey{t.ClientID, a.proofs.of(&gate.Credential, t.Secret)}
	for {
		f, leads := a.flights.join(key)
		if leads {
			defer a.flights.land(key, f) // a panic ends the flight, too
			f.err = errGone
			f.found, f.err = a.prove(ctx, t, gate, known)
			return f.found, f.err
		}
		if err := a.follow(ctx, f); err != nil {
			return finding{}, err
		}
		if f.err == nil {
			return f.found, nil
		}
	}
}

// follow waits for the flight to end, no longer than it would in the line.
func (a *Authenticator) follow(ctx context.Context, f *flight) error {
	a.meters.shared.Inc()
	wait, cancel := context.WithTimeoutCause(ctx, a.options.MaxWait, errTooLong)
	defer cancel()
	select {
	case <-f.done:
		return nil
	case <-wait.Done():
		a.meters.refused.Inc()
		return busy(ReasonBusy, context.Cause(wait))
	}
}
