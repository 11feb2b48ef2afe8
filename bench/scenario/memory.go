package scenario

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"github.com/sentryagent/agentidp/bench/lab"
	"github.com/sentryagent/agentidp/bench/result"
)

const (
	crowdSize  = 10_000
	quickCrowd = 1_000
	settles    = 2 * time.Second // garbage collections come with time
)

// memory is what both programs take now: after the scenarios of the IdP.
func memory(ctx context.Context, r *Run) ([]result.Row, error) {
	if err := r.Focus(ctx, lab.IdP); err != nil {
		return nil, err
	}
	rows := []result.Row{}
	for _, s := range []server{r.idp(), r.sidecar()} {
		row := result.Row{Scenario: "memory", Subject: s.name, Params: connectionsOf(0)}
		bytes, err := rss(s.pids())
		if err != nil {
			return nil, err
		}
		peak, err := lab.Memory(s.pids()[0], "VmHWM")
		if err != nil {
			return nil, err
		}
		row.Rounds = []result.Sample{{result.RSS: bytes, "peak_bytes": float64(peak)}}
		rows = append(rows, row)
		r.Say(row, 0)
	}
	return rows, nil
}

// idle measures the memory of connections that had a request and keep still.
func idle(ctx context.Context, r *Run) ([]result.Row, error) {
	token, err := r.focusSidecar(ctx)
	if err != nil {
		return nil, err
	}
	size, err := r.crowd()
	if err != nil {
		return nil, err
	}
	var subjects []*subject
	for _, s := range []server{r.bareProxy(), r.sidecar()} {
		subjects = append(subjects, newSubject("idle", s.name, connectionsOf(size), func(ctx context.Context) (measured, error) {
			if err := r.Refresh(ctx); err != nil {
				return measured{}, err
			}
			if err := lab.Listens(ctx, s.addr); err != nil {
				return measured{}, err
			}
			return r.holding(ctx, s, token, size)
		}))
	}
	return r.interleave(ctx, 1, subjects...)
}

// crowd is as many connections as this process may have open.
func (r *Run) crowd() (int, error) {
	size := crowdSize
	if r.Quick {
		size = quickCrowd
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, err
	}
	if room := int(limit.Cur) - 200; room < size {
		r.Note("%d connections instead of %d: open files are limited to %d", room, size, limit.Cur)
		size = room
	}
	return size, nil
}

// holding opens the connections, and reads the memory once they are still.
func (r *Run) holding(ctx context.Context, s server, token string, size int) (measured, error) {
	before, err := rss(s.pids())
	if err != nil {
		return measured{}, err
	}
	conns, err := gather(ctx, s.addr, token, size)
	defer func() {
		for _, conn := range conns {
			_ = conn.Close() // nothing is under way on it
		}
	}()
	if err != nil {
		return measured{}, fmt.Errorf("%d connections: %w", size, err)
	}
	select {
	case <-time.After(settles):
	case <-ctx.Done():
		return measured{}, ctx.Err()
	}
	after, err := rss(s.pids())
	return measured{sample: result.Sample{result.RSS: after, "before_bytes": before, "connection_bytes": (after - before) / float64(size)}}, err
}
