package syncer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/sentryagent/agentidp/shared/durable"
	"github.com/sentryagent/agentidp/shared/policy"
	"github.com/sentryagent/agentidp/shared/token"
)

const (
	bundlePath = "/bundles/authz.tar.gz"
	bundleName = "policy.json"
)

// bundler follows the policy that the IdP serves as a signed bundle, by long
// poll, and keeps the last one that came into force on disk. It is one goroutine.
type bundler struct {
	caller      *caller
	keys        *Keys
	revocations *Revocations
	opts        Options
	log         *slog.Logger
	path        string
	trouble     trouble
	etag        string // of the bundle that came last
	refused     bool   // that one was not put into force

	good, unchanged, bad *metrics.Counter
}

// keptBundle is the file: verified again before it counts.
type keptBundle struct {
	Issuer string `json:"issuer"`
	ETag   string `json:"etag"`
	Bundle []byte `json:"bundle"`
}

func newBundler(c *caller, k *Keys, r *Revocations, opts Options) *bundler {
	count := func(result string) *metrics.Counter {
		return opts.Metrics.NewCounter(`sidecar_policy_bundle_total{result="` + result + `"}`)
	}
	return &bundler{
		caller: c, keys: k, revocations: r, opts: opts, log: opts.Logger, path: filepath.Join(opts.DataDir, bundleName),
		good: count("good"), unchanged: count("unchanged"), bad: count("failed"),
	}
}

// load puts the bundle on disk into force. Without one that can be verified
// there is no policy until the IdP was reached; only a disk that cannot be read is an error.
func (b *bundler) load(ctx context.Context) error {
	content, err := os.ReadFile(b.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("syncer: %w", err)
	}
	var kept keptBundle
	if err := json.Unmarshal(content, &kept); err != nil {
		b.log.Warn("the kept policy bundle is damaged; it must be fetched", "error", err)
		return nil
	}
	if kept.Issuer != b.opts.Issuer {
		return nil
	}
	opened, err := b.open(kept.Bundle)
	if err == nil {
		err = b.opts.TakePolicy(ctx, opened)
	}
	if err != nil {
		b.trouble.set(fmt.Errorf("the kept one: %w", err))
		b.log.Error("the kept policy bundle is not usable; it must be fetched", "error", err)
		return nil
	}
	b.etag = kept.ETag
	return nil
}

func (b *bundler) run(ctx context.Context) {
	p := pace{least: 500 * time.Millisecond, most: 10 * time.Second}
	for ctx.Err() == nil {
		began, conditional := time.Now(), b.etag != ""
		news, err := b.poll(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			b.bad.Inc()
			b.trouble.set(err)
			pause := p.bad(err)
			b.log.Error("no policy from the IdP, the one in force stays", "error", err, "retryIn", pause)
			if !sleep(ctx, pause) {
				return
			}
			continue
		}
		p.good()
		if !b.refused {
			b.trouble.clear()
		}
		if took := time.Since(began); !news && conditional && took < shortest && !sleep(ctx, shortest-took) {
			return
		}
	}
}

// poll asks once. An error leaves the policy in force.
func (b *bundler) poll(ctx context.Context) (news bool, err error) {
	path, wait, header := bundlePath, time.Duration(0), map[string]string{"Accept": "application/gzip"}
	if b.etag != "" {
		wait = b.opts.PollWait
		path += "?wait=" + strconv.Itoa(int(wait/time.Second))
		header["If-None-Match"] = b.etag
	}
	ctx, cancel := context.WithTimeout(ctx, wait+answerTime)
	defer cancel()
	a, err := b.caller.do(ctx, http.MethodGet, path, nil, header, policy.MaxBundle)
	switch {
	case err != nil:
		return false, fmt.Errorf("policy bundle: %w", err)
	case a.status == http.StatusNotModified && b.etag != "":
		b.unchanged.Inc()
		if b.refused { // it may have been the moment: tests that took too long on a busy machine
			b.etag = ""
		}
		return false, nil
	case a.status != http.StatusOK:
		return false, fmt.Errorf("policy bundle: %w", refused(a))
	}
	return true, b.take(ctx, a.body, a.header.Get("ETag"))
}

// take verifies a bundle and puts it into force. After one that is refused for
// what it is, the next poll waits for another.
func (b *bundler) take(ctx context.Context, body []byte, etag string) error {
	opened, err := b.open(body)
	if errors.Is(err, token.ErrUnknownKey) && b.refetch(ctx, body) {
		opened, err = b.open(body)
	}
	if errors.Is(err, token.ErrUnknownKey) {
		return err // asked for again: its key may be published by then
	}
	if err == nil {
		err = b.opts.TakePolicy(context.WithoutCancel(ctx), opened)
	}
	b.etag, b.refused = etag, err != nil
	if err != nil {
		return err
	}
	b.good.Inc()
	b.log.Info("policy bundle taken", "revision", opened.Revision, "kid", opened.KeyID)
	// In force first, on disk next: a full disk must not keep an older policy.
	if err := b.keep(body, etag); err != nil {
		b.log.Error("the policy bundle cannot be kept", "error", err)
	}
	return nil
}

func (b *bundler) open(body []byte) (*policy.OpenedBundle, error) {
	opened, err := policy.OpenBundle(body, b.opts.Issuer, b.keys)
	if err == nil && b.revocations.revokedKey(opened.KeyID) {
		return nil, errors.New("policy bundle: its key is revoked")
	}
	return opened, err
}

// refetch asks for the key that signed a bundle, which may be newer than our set.
func (b *bundler) refetch(ctx context.Context, body []byte) bool {
	raw, err := policy.BundleSignature(body)
	if err != nil {
		return false
	}
	kid, named := signer(raw)
	return named && b.keys.Refetch(ctx, kid)
}

func (b *bundler) keep(body []byte, etag string) error {
	content, err := json.Marshal(keptBundle{b.opts.Issuer, etag, body})
	if err != nil {
		return err
	}
	return durable.WriteFile(b.path, content)
}
