package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sentryagent/agentidp/idp/internal/httpapi"
	"github.com/sentryagent/agentidp/idp/internal/registry"
	"github.com/sentryagent/agentidp/shared/httpx"
	"github.com/sentryagent/agentidp/shared/obs"
)

const (
	pruneEvery = time.Minute
	pruneLimit = 10 * time.Second
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
func writeAdmin(path string, r *registry.BootstrapResult) (err error) {
	content, err := json.Marshal(map[string]string{"clientId": r.Credential.Credential.ClientID, "clientSecret": r.Credential.ClientSecret})
	if err != nil {
		return fmt.Errorf("administrator's credential: %w", err)
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), ".admin.json.*") // made with mode 0600
	if err != nil {
		return fmt.Errorf("administrator's credential: %w", err)
	}
	_, err = temporary.Write(append(content, '\n'))
	err = errors.Join(err, temporary.Sync(), temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("administrator's credential: %w", err), os.Remove(temporary.Name()))
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
	server := httpx.NewServer(httpx.Options{Handler: a.handler(), Log: a.logger, Limit: a.api.Limit, Refuse: a.api.Refuse})
	tasks.run(end(func() error { return httpx.Serve(ctx, server, a.main, a.cfg.DrainTimeout) }))
	if a.admin != nil {
		admin := httpx.NewServer(httpx.Options{Handler: a.adminHandler(), Log: a.logger})
		tasks.run(end(func() error { return httpx.Serve(ctx, admin, a.admin, a.cfg.DrainTimeout) }))
	}
	tasks.run(func() error { a.prune(ctx); return nil })
	tasks.run(func() error {
		select {
		case <-a.db.Failed():
			cancel(errStoreFailed)
			return errStoreFailed
		case <-ctx.Done():
			return nil
		}
	})
	a.logger.InfoContext(ctx, "serving", "issuer", a.cfg.Issuer, "addr", a.main.Addr().String(), "dataDir", a.cfg.DataDir,
		"signing", a.issuer.Backend(), "policy", a.policy.Status().Revision, "version", obs.ReadBuild().String(), "store", slog.GroupValue(a.db.Pragmas()...))
	<-ctx.Done()
	a.logger.InfoContext(context.WithoutCancel(ctx), "stopping", "cause", context.Cause(ctx))
	a.api.Stop()
	return tasks.wait()
}

// handler is the API's. On loopback /debug/pprof is there too; off it, on the admin address only.
func (a *App) handler() fasthttp.RequestHandler {
	if a.admin != nil {
		return a.api.Handler
	}
	profiles := httpx.AdminHandler(httpx.AdminOptions{})
	return func(ctx *fasthttp.RequestCtx) {
		if bytes.HasPrefix(ctx.Path(), []byte("/debug/pprof")) {
			profiles(ctx)
			return
		}
		a.api.Handler(ctx)
	}
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
		WriteMetrics: a.writeMetrics,
	})
}

func (a *App) writeMetrics(w io.Writer) { obs.WritePrometheus(w, a.metrics) }

// prune forgets, now and then, what nothing can ask for any more.
func (a *App) prune(ctx context.Context) {
	ticker := time.NewTicker(pruneEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			a.pruneOnce(ctx)
		case <-ctx.Done():
			return
		}
	}
}

func (a *App) pruneOnce(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, pruneLimit)
	defer cancel()
	for name, task := range map[string]func(context.Context) error{
		"idempotency": a.reg.Prune, "revocations": a.revoked.Prune, "keys": a.issuer.Reload,
	} {
		if err := task(ctx); err != nil && ctx.Err() == nil {
			a.logger.WarnContext(ctx, "pruning", "what", name, "error", err)
		}
	}
}
