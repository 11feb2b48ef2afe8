package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/sentryagent/agentidp/shared/feed"
	"github.com/sentryagent/agentidp/shared/policy"
	"github.com/sentryagent/agentidp/shared/token"
)

// bundle is the last one that was built; a reload or another key makes the next.
type bundle struct {
	mu   sync.Mutex // held while one is built: the others wait for it
	etag string
	body []byte
}

// bundleEvery is how often a waiting poll looks whether policy or key changed.
const bundleEvery = 200 * time.Millisecond

// getPolicyBundle serves the policy in force for OPA and for sidecars. With the
// bundle that the caller has, it may wait for the next.
func (a *API) getPolicyBundle(ctx context.Context, c *call) error {
	q := c.query()
	wait := time.Duration(q.integer("wait", 0, feed.MaxWait, 0)) * time.Second
	if err := q.done(); err != nil {
		return err
	}
	body, etag, err := a.currentBundle(ctx)
	if err != nil {
		return err
	}
	if wait > 0 && c.holds(etag) {
		if body, etag, err = a.nextBundle(ctx, c, etag, wait); err != nil {
			return err
		}
	}
	c.set("Cache-Control", "no-cache")
	if !c.unchanged(etag) {
		c.write(http.StatusOK, "application/gzip", body)
	}
	return nil
}

// nextBundle is the bundle after the one with the tag; the same one when the
// wait is over, the caller left or the server stops.
func (a *API) nextBundle(ctx context.Context, c *call, etag string, wait time.Duration) (body []byte, next string, err error) {
	held, leave, err := a.hold(ctx, c)
	if err != nil {
		return nil, "", err
	}
	a.awaitBundle(held, etag, wait)
	leave()
	return a.currentBundle(ctx)
}

// awaitBundle returns when another bundle is to be served, or ctx or the wait ended.
func (a *API) awaitBundle(ctx context.Context, etag string, wait time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	ticks := time.NewTicker(bundleEvery)
	defer ticks.Stop()
	for ctx.Err() == nil && a.bundleTag() == etag {
		select {
		case <-ctx.Done():
		case <-ticks.C:
		}
	}
}

// bundleTag is of the bundle that is to be served now, built or not.
func (a *API) bundleTag() string { return bundleETag(a.Policy.Revision(), a.Keys.ActiveKID()) }

func (a *API) currentBundle(ctx context.Context) (body []byte, etag string, err error) {
	engine, _ := a.Policy.Current()
	b := &a.bundle
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.body != nil && b.etag == bundleETag(engine.Revision(), a.Keys.ActiveKID()) {
		return b.body, b.etag, nil
	}
	kid := ""
	body, err = engine.Bundle(a.Issuer, func(payload []byte) (string, error) {
		jws, err := a.Keys.Sign(ctx, policy.BundleType, payload)
		if err != nil {
			return "", err
		}
		// Keys take turns at any moment: the signature itself says whose it is.
		if _, kid, err = token.VerifyJWS(jws, policy.BundleType, a.Keys.Keys(), len(jws)); err != nil {
			return "", fmt.Errorf("bundle: %w", err)
		}
		return jws, nil
	})
	if err != nil {
		return nil, "", err
	}
	b.body, b.etag = body, bundleETag(engine.Revision(), kid)
	return b.body, b.etag, nil
}

func bundleETag(revision, kid string) string { return `"` + revision + "." + kid + `"` }
