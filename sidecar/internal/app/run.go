package app

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sentryagent/agentidp/shared/httpx"
	"github.com/sentryagent/agentidp/shared/obs"
)

// Run serves until ctx ends or something it cannot do without fails. Then
// /ready says no, off loopback for the drain delay before anything else, requests in flight finish, decisions are shipped for a few
// seconds, and what is left stays in the spool for the next start.
func (a *App) Run(ctx context.Context) error {
	settle()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	apart := context.WithoutCancel(ctx)

	// From the inside out: the data port ends first, what it needs after it,
	// the admin port, which tells how it goes, last.
	admin := a.start(apart, cancel, a.serveAdmin)
	syncing := a.start(apart, cancel, func(ctx context.Context) error { a.syncer.Run(ctx); return nil })
	serving := a.start(apart, cancel, a.serveClients)
	asked := a.start(apart, cancel, a.serveExtAuthz)
	forwards := a.start(apart, cancel, a.serveForwardAuth)
	certificates := a.start(apart, cancel, a.watchCertificates)
	watching := a.start(apart, cancel, a.watch)
	a.logger.InfoContext(ctx, "serving", "addr", a.main.Addr().String(), "adminAddr", a.admin.Addr().String(), "upstream", a.cfg.Upstream,
		"issuer", a.cfg.Issuer, "audience", a.cfg.Audience, "routes", len(a.proxy.Table().Routes()), "policy", a.policy.Revision(),
		"sidecar", a.syncer.ID(), "feed", a.cfg.Feed, "version", obs.ReadBuild().String())

	select {
	case <-ctx.Done():
	case <-a.spool.Broken():
		cancel(a.spool.Err())
	}
	a.stopping.Store(true)
	a.logger.InfoContext(apart, "stopping", "cause", context.Cause(ctx))
	if errors.Is(context.Cause(ctx), context.Canceled) { // we were asked to end, and can serve on
		a.drain(apart)
	}
	asked.cancel() // both drain at once
	forwards.cancel()
	err := errors.Join(a.spool.Err(), asked.stop(), forwards.stop(), serving.stop(), watching.stop(), syncing.stop(), certificates.stop())
	left := a.spool.Status()
	a.logger.InfoContext(apart, "stopped", "decisions", left.Next, "unshipped", left.Next-left.Acked)
	return errors.Join(err, admin.stop(), a.Close())
}

// drain gives whoever balances load the time to see that /ready says no, while
// requests are still served. Nobody does on loopback.
func (a *App) drain(ctx context.Context) {
	if a.cfg.loopback() || a.cfg.DrainDelay == 0 {
		return
	}
	a.logger.InfoContext(ctx, "draining", "for", a.cfg.DrainDelay)
	timer := time.NewTimer(a.cfg.DrainDelay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-a.spool.Broken():
	}
}

// task is something that runs until it is told to stop.
type task struct {
	cancel context.CancelFunc
	done   sync.WaitGroup
	err    error // valid after done
}

// start runs work. When it ends untold, everything ends.
func (a *App) start(ctx context.Context, end context.CancelCauseFunc, work func(context.Context) error) *task {
	t := &task{}
	ctx, t.cancel = context.WithCancel(ctx)
	t.done.Go(func() {
		t.err = work(ctx)
		end(t.err)
	})
	return t
}

// stop ends the task and answers its error.
func (t *task) stop() error {
	t.cancel()
	t.done.Wait()
	return t.err
}

// serveClients serves the data port. Requests that took longer than the drain
// time were cut: worth a warning, but an end in order.
func (a *App) serveClients(ctx context.Context) error {
	err := a.proxy.Serve(ctx, a.main)
	if errors.Is(err, httpx.ErrCut) {
		a.logger.WarnContext(ctx, "requests in flight were cut", "error", err)
		return nil
	}
	return err
}

func (a *App) serveAdmin(ctx context.Context) error {
	server := httpx.NewServer(httpx.Options{Log: a.logger, Handler: httpx.AdminHandler(httpx.AdminOptions{
		Health: a.live, Ready: a.ready, WriteMetrics: a.writeMetrics, Profiles: a.cfg.Pprof,
	})})
	if err := httpx.Serve(ctx, server, a.admin, a.cfg.DrainTimeout); err != nil && !errors.Is(err, httpx.ErrCut) {
		return fmt.Errorf("admin port: %w", err)
	}
	return nil
}
