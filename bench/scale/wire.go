package scale

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/sentryagent/agentidp/bench/lab"
	"github.com/sentryagent/agentidp/bench/result"
	"github.com/sentryagent/agentidp/deploy/dev/stack"
)

// wires measures the fan-out over connections: an IdP of its own process, and
// long polls as sidecars make them.
func (r *run) wires(ctx context.Context) error {
	if r.Serving == "" {
		return nil
	}
	for _, size := range r.Connections {
		for _, named := range []bool{false, true} {
			if err := r.wire(ctx, size, named); err != nil {
				return fmt.Errorf("feed with %d connections: %w", size, err)
			}
		}
	}
	return nil
}

// wire measures sidecars that say who they are, as ours do, so that the IdP
// writes down that they are there and how far they are; or that do not.
func (r *run) wire(ctx context.Context, size int, named bool) (err error) {
	h, err := r.serve(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer func() {
		cancel()
		err = errors.Join(err, h.Close())
	}()
	if err := h.enrol(ctx, size); err != nil {
		return err
	}
	alone, err := h.rest(r.Idle)
	if err != nil {
		return err
	}
	h.follow(ctx, size, named)
	if err := h.parked(ctx); err != nil {
		return err
	}
	with, err := h.rest(r.Idle)
	if err != nil {
		return err
	}
	subject := "nameless"
	if named {
		subject = "named"
	}
	row := result.Row{Scenario: "scale-feed", Subject: subject, Params: map[string]float64{"connections": float64(size)}}
	for range r.Rounds {
		sample, err := h.round(ctx)
		if err != nil {
			return err
		}
		sample[HeldBytes], sample[IdleCPU] = (with.bytes-alone.bytes)/float64(size), (with.cpu-alone.cpu)/float64(size)
		row.Rounds = append(row.Rounds, sample)
	}
	r.add(row)
	return nil
}

// served is an IdP of its own and the herd of sidecars at its feed.
type served struct {
	*stack.Stack
	admin *stack.Client
	pid   int
	known []string // tokens of sidecar agents
	from  string   // where the feed is
	herd  *tally   // of the sidecars
}

// serve starts an IdP on an empty SQLite store. Its limits are off but for the
// feed's places; loopback is exempt from the limit of connections per address.
func (r *run) serve(ctx context.Context) (_ *served, err error) {
	bin := r.path("bin")
	if err := os.Mkdir(bin, 0o700); err != nil {
		return nil, err
	}
	if err := os.Symlink(r.Serving, filepath.Join(bin, "agentidp")); err != nil {
		return nil, err
	}
	addresses, err := stack.Free()
	if err != nil {
		return nil, err
	}
	s := &served{Stack: &stack.Stack{Addresses: addresses, Bin: bin, Dir: r.path("idp"), IdPEnv: []string{
		"AGENTIDP_LIMITS_AGENTS=0", "AGENTIDP_LIMITS_REQUESTS_PER_MINUTE=0", "AGENTIDP_LIMITS_TOKENS_PER_MONTH=0", "AGENTIDP_TRUSTED_PROXIES=127.0.0.0/8",
	}}}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if err := errors.Join(s.Prepare(), s.StartIdP(ctx)); err != nil {
		return nil, err
	}
	s.pid, _ = s.PIDs()
	credential, err := s.Administrator()
	if err != nil {
		return nil, err
	}
	if s.admin, err = s.Client(ctx, credential); err != nil {
		return nil, err
	}
	return s, s.revoke(ctx)
}

// revoke cuts off a token that nobody has.
func (s *served) revoke(ctx context.Context) error {
	return s.admin.JSON(ctx, http.MethodPost, "/api/v1/revocations", map[string]string{"type": "jti", "id": rand.Text()}, nil)
}

// parked waits until every place at the feed is taken.
func (s *served) parked(ctx context.Context) error {
	for until := time.Now().Add(fanLimit); time.Now().Before(until); {
		page, err := lab.ReadMetrics(ctx, s.IdP)
		if err != nil {
			return err
		}
		polls, err := page.Value("agentidp_feed_polls")
		if err != nil {
			return err
		}
		if polls >= float64(len(s.herd.at)) {
			time.Sleep(calm) // between the last one's place and its wait
			return nil
		}
		select {
		case err := <-s.herd.failed:
			return err
		case <-time.After(calm):
		}
	}
	return errors.New("the polls do not all wait")
}

// resting is what an IdP takes while nothing happens.
type resting struct{ bytes, cpu float64 } // resident; µs of processor time in a second

func (s *served) rest(idle time.Duration) (resting, error) {
	bytes, err := lab.Memory(s.pid, "VmRSS")
	if err != nil {
		return resting{}, err
	}
	began, err := lab.CPU(s.pid)
	if err != nil {
		return resting{}, err
	}
	time.Sleep(idle)
	ended, err := lab.CPU(s.pid)
	return resting{float64(bytes), float64((ended - began).Microseconds()) / idle.Seconds()}, err
}

// round is one revocation, from its request until all wait again. Reading the
// metrics to know that is part of what it costs.
func (s *served) round(ctx context.Context) (result.Sample, error) {
	s.herd.reset()
	began, err := lab.CPU(s.pid)
	if err != nil {
		return nil, err
	}
	if err := s.revoke(ctx); err != nil {
		return nil, err
	}
	answered := time.Since(s.herd.base)
	if err := s.herd.reached(ctx); err != nil {
		return nil, err
	}
	if err := s.parked(ctx); err != nil {
		return nil, err
	}
	ended, err := lab.CPU(s.pid)
	if err != nil {
		return nil, err
	}
	return spread(s.herd.times(), answered, ended-began, s.herd.page.Load()), nil
}
