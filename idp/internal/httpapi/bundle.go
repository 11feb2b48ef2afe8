package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"sync"

	"github.com/sentryagent/agentidp/shared/policy"
	"github.com/sentryagent/agentidp/shared/token"
)

// bundle is the last one that was built; a reload or another key makes the next.
type bundle struct {
	mu   sync.Mutex // held while one is built: the others wait for it
	etag string
	body []byte
}

// getPolicyBundle serves the policy in force for OPA and for sidecars.
func (a *API) getPolicyBundle(ctx context.Context, c *call) error {
	if err := c.noQuery(); err != nil {
		return err
	}
	body, etag, err := a.currentBundle(ctx)
	if err != nil {
		return err
	}
	c.set("Cache-Control", "no-cache")
	if !c.unchanged(etag) {
		c.write(http.StatusOK, "application/gzip", body)
	}
	return nil
}

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
