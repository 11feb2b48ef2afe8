package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sentryagent/agentidp/idp/internal/httpapi"
	"github.com/sentryagent/agentidp/idp/internal/registry"
	"github.com/sentryagent/agentidp/idp/internal/revocation"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/durable"
	"github.com/sentryagent/agentidp/shared/httpx"
	"github.com/sentryagent/agentidp/shared/obs"
)

const (
	pruneEvery = time.Minute
	pruneLimit = 10 * time.Second
	warnEvery  = 5 * time.Minute
	warnLimit  = time.Minute
)

// errStoreFailed ends the process: after a failed write nobody knows what is on
// the disk, and only a new start, which reads it again, can tell.
var errStoreFailed = errors.New("the store failed and takes no more writes: start again once the disk is well")

// Run serves until ctx ends or something it cannot do without fails. It then
// finishes requests in flight, writes what is queued, signs a last checkpoint
// and closes the store.
func (a *App) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	// The log outlives the servers: requests in flight still write to it.
	logging, stopLog := context.WithCancel(context.WithoutCancel(ctx))
	defer stopLog()
	var log background
	log.run(func() error {
		err := a.log.Run(logging)
		if err != nil {
			cancel(err)
		}
		return err
	})
	err := a.first(ctx)
	if err == nil {
		err = a.serve(ctx, cancel)
	}
	stopLog()
	return errors.Join(err, log.wait(), a.Close())
}

// first does what the first start on a store needs: a signing key and an administrator.
func (a *App) first(ctx context.Context) error {
	if err := a.issuer.EnsureKey(ctx, commitOf(a.log)); err != nil {
		return err
	}
	a.warnOfFallback(ctx)
	result, err := a.reg.EnsureBootstrap(ctx, a.cfg.bootstrap())
	if err != nil || result == nil {
		return err
	}
	if a.cfg.BootstrapClientSecret != "" {
		a.logger.InfoContext(ctx, "administrator made with the configured credential", "clientId", result.Credential.Credential.ClientID)
		return nil
	}
	if err := writeAdmin(a.cfg.AdminPath(), result); err != nil {
		return err
	}
	a.logger.InfoContext(ctx, "administrator made", "clientId", result.Credential.Credential.ClientID, "file", a.cfg.AdminPath())
	return printOnce(a.notice, result)
}

// printOnce shows the secret to whoever started the program by hand, outside the log.
func printOnce(w io.Writer, r *registry.BootstrapResult) error {
	_, err := fmt.Fprintf(w, "\nFirst start. The administrator's credential, shown once:\n  client id     %s\n  client secret %s\n\n",
		r.Credential.Credential.ClientID, r.Credential.ClientSecret)
	return err
}

// writeAdmin writes the credential, mode 0600, whole or not at all.
func writeAdmin(path string, r *registry.BootstrapResult) error {
	content, err := json.Marshal(map[string]string{"clientId": r.Credential.Credential.ClientID, "clientSecret": r.Credential.ClientSecret})
	if err != nil {
		return fmt.Errorf("administrator's credential: %w", err)
	}
	if err := durable.WriteFile(path, append(content, '\n')); err != nil {
		return fmt.Errorf("administrator's credential: %w", err)
	}
	return nil
}

func (a *App) serve(ctx context.Context, cancel context.CancelCauseFunc) error {
	var tasks background
	end := func(task func() error) func() error {
		return func() error {
			err := task()
			cancel(err)
			return err
		}
	}
	server := httpx.NewServer(httpx.Options{Handler: a.api.Handler, Log: a.logger, Limit: a.api.Limit, Refuse: a.api.Refuse, ReduceMemory: true})
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServing()
	tasks.run(end(func() error { return httpx.Serve(serving, server, a.main, a.cfg.DrainTimeout) }))
	if a.admin != nil {
		admin := httpx.NewServer(httpx.Options{Handler: a.adminHandler(), Log: a.logger})
		tasks.run(end(func() error { return httpx.Serve(serving, admin, a.admin, a.cfg.DrainTimeout) }))
	}
	tasks.run(func() error { a.prune(ctx); return nil })
	tasks.run(end(func() error { return a.follow(serving) }))
	tasks.run(func() error { a.lists.Follow(serving); return nil })
	tasks.run(func() error { a.indexes.Run(serving); return nil })
	if a.tls != nil {
		tasks.run(func() error { a.tls.Run(ctx); return nil })
	}
	tasks.run(func() error { a.rotate(ctx); return nil })
	tasks.run(func() error { a.warn(ctx); return nil })
	tasks.run(func() error { a.retain(ctx); return nil })
	tasks.run(func() error {
		select {
		case <-a.db.failed:
			cancel(errStoreFailed)
			return errStoreFailed
		case <-ctx.Done():
			return nil
		}
	})
	a.logger.InfoContext(ctx, "serving", "issuer", a.cfg.Issuer, "addr", a.main.Addr().String(), "dataDir", a.cfg.DataDir,
		"signing", a.issuer.Backend(), "policy", a.policy.Status().Revision, "version", obs.ReadBuild().String(), "backend", a.db.backend, "store", slog.GroupValue(a.db.settings...))
	<-ctx.Done()
	a.logger.InfoContext(context.WithoutCancel(ctx), "stopping", "cause", context.Cause(ctx))
	if errors.Is(context.Cause(ctx), context.Canceled) { // we were asked to end, and can serve on
		a.drain(context.WithoutCancel(ctx))
	}
	a.api.Stop()
	stopServing()
	return tasks.wait()
}

// drain gives whoever balances load the time to see that this replica ends.
// Nobody does on loopback.
func (a *App) drain(ctx context.Context) {
	if a.cfg.Loopback() || a.cfg.DrainDelay == 0 {
		return
	}
	a.api.Drain()
	a.logger.InfoContext(ctx, "draining", "for", a.cfg.DrainDelay)
	time.Sleep(a.cfg.DrainDelay)
}

func (a *App) adminHandler() fasthttp.RequestHandler {
	return httpx.AdminHandler(httpx.AdminOptions{
		Health: func(ctx context.Context) (int, any) {
			health := a.api.Health(ctx)
			if health.Status == httpapi.StateUnavailable {
				return http.StatusServiceUnavailable, health
			}
			return http.StatusOK, health
		},
		Live:         func(context.Context) (int, any) { return http.StatusOK, map[string]string{"status": "ok"} },
		WriteMetrics: a.writeMetrics, Profiles: a.cfg.Pprof,
	})
}

func (a *App) writeMetrics(w io.Writer) { obs.WritePrometheus(w, a.metrics) }

// follow reads the keys again whenever any replica changed one, and passes the
// news on to replicas whose store has to be asked for it. It fails when the store
// was declared restored under us, which every follower of the feed is told of too.
func (a *App) follow(ctx context.Context) error {
	changed, stop := a.db.Watch()
	defer stop()
	givenUp := a.issuer.GivenUp()
	var again <-chan time.Time // set while the last reading failed
	for {
		select {
		case <-changed:
			a.shared.Publish(ctx, revocation.Topic)
		case <-again:
		case <-givenUp:
			givenUp = nil
		case <-ctx.Done():
			return nil
		}
		again = nil
		err := errors.Join(a.revoked.Current(ctx), a.issuer.Reload(ctx))
		a.warnOfFallback(ctx)
		switch {
		case errors.Is(err, revocation.ErrRestored):
			return err
		case err != nil && ctx.Err() == nil:
			a.logger.WarnContext(ctx, "signing keys not read again", "error", err)
			again = time.After(time.Second)
		}
	}
}

// rotate lets signing keys take their turns. It looks often enough to keep the
// schedule to a tenth of what verifiers are given.
func (a *App) rotate(ctx context.Context) {
	ticker := time.NewTicker(min(a.cfg.schedule().Ahead/10, pruneEvery))
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if err := a.issuer.Turn(ctx, commitOf(a.log)); err != nil && ctx.Err() == nil {
				a.logger.WarnContext(ctx, "signing keys did not take their turn", "error", err)
			}
		case <-ctx.Done():
			return
		}
	}
}

// warn announces credentials that end soon.
func (a *App) warn(ctx context.Context) {
	ticker := time.NewTicker(warnEvery)
	defer ticker.Stop()
	for {
		limited, cancel := context.WithTimeout(ctx, warnLimit)
		if err := a.reg.WarnExpiring(limited); err != nil && ctx.Err() == nil {
			a.logger.WarnContext(ctx, "credentials that end soon", "error", err)
		}
		cancel()
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// prune forgets, now and then, what nothing can ask for any more, and lets the
// store prepare for what will come.
func (a *App) prune(ctx context.Context) {
	ticker := time.NewTicker(pruneEvery)
	defer ticker.Stop()
	for {
		a.pruneOnce(ctx)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func (a *App) pruneOnce(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, pruneLimit)
	defer cancel()
	tasks := map[string]func(context.Context) error{
		"assertions": a.clients.Prune, "idempotency": a.reg.Prune, "revocations": a.revoked.Prune, "keys": a.issuer.Reload, "statusLists": a.lists.Prune,
	}
	tasks["stats"] = func(ctx context.Context) error {
		return store.PruneAll(ctx, a.db, func(ctx context.Context, tx *store.Tx) (bool, error) { return tx.Stats.Prune(ctx, a.now()) })
	}
	if a.db.maintain != nil {
		tasks["store"] = func(ctx context.Context) error { return a.db.maintain(ctx, a.now()) }
	}
	for name, task := range tasks {
		if err := task(ctx); err != nil && ctx.Err() == nil {
			a.logger.WarnContext(ctx, "housekeeping", "what", name, "error", err)
		}
	}
}
