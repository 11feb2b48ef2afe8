package syncer

import (
	"bytes"
	"context"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/feed"
	"github.com/sentryagent/agentidp/shared/policy"
)

const patient = time.Minute

// saying is a policy that always gives one reason.
func saying(reason string) fstest.MapFS {
	return fstest.MapFS{"authz.rego": {Data: []byte("package agentidp.authz\n\ndecision := {\"allow\": true, \"reason\": \"" + reason + "\"}\n")}}
}

// leaning is a policy that an IdP can load, but no sidecar.
func leaning() fstest.MapFS {
	folder := saying("leaning")
	folder["authz.rego"].Data = []byte("package agentidp.authz\n\ndecision := {\"allow\": data.agentidp.own.f(1), \"reason\": \"leaning\"}\n")
	folder["own.rego"] = &fstest.MapFile{Data: []byte("package agentidp.own\n\nf(x) := x == 1\n")}
	return folder
}

// bundleOf is the policy as the peer's IdP would sign it.
func (p *peer) bundleOf(folder fstest.MapFS, key *rsa.PrivateKey) []byte {
	p.t.Helper()
	engine, err := policy.New(p.t.Context(), folder, policy.Options{Timeout: patient, TestTimeout: patient})
	require.NoError(p.t, err)
	packed, err := engine.Bundle(p.URL, func(payload []byte) (string, error) {
		return sign(p.t, key, policy.BundleType, json.RawMessage(payload)), nil
	})
	require.NoError(p.t, err)
	return packed
}

// shelf is what the peer serves as the policy, by long poll.
type shelf struct {
	mu      sync.Mutex
	body    []byte
	etag    string
	changed chan struct{}
}

func (p *peer) shelve() *shelf {
	s := &shelf{changed: make(chan struct{})}
	p.hook(bundlePath, func(w http.ResponseWriter, r *http.Request) bool {
		s.mu.Lock()
		body, etag, changed := s.body, s.etag, s.changed
		s.mu.Unlock()
		if r.Header.Get("If-None-Match") == etag && r.URL.Query().Get("wait") != "0" {
			select {
			case <-changed:
			case <-time.After(100 * time.Millisecond):
				w.WriteHeader(http.StatusNotModified)
				return true
			case <-r.Context().Done():
				return true
			}
			s.mu.Lock()
			body, etag = s.body, s.etag
			s.mu.Unlock()
		}
		w.Header().Set("ETag", etag)
		_, _ = w.Write(body)
		return true
	})
	return s
}

func (s *shelf) put(etag string, body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.body, s.etag = body, etag
	close(s.changed)
	s.changed = make(chan struct{})
}

// bundled are the options of a sidecar whose policy is in the holder.
func (p *peer) bundled(t *testing.T, holder *policy.Holder, change ...func(*Options)) Options {
	return p.options(t, append(change, func(o *Options) {
		o.TakePolicy = func(ctx context.Context, b *policy.OpenedBundle) error {
			if b.Revision == holder.Revision() {
				return nil
			}
			return holder.Reload(ctx, b.Folder)
		}
		o.PolicyRevision, o.KeysCooldown, o.PollWait = holder.Revision, 50*time.Millisecond, time.Second
	})...)
}

func newHolder() *policy.Holder {
	return policy.NewEmptyHolder(policy.Options{Timeout: patient, TestTimeout: patient, Sidecar: true})
}

func reason(t *testing.T, holder *policy.Holder) string {
	t.Helper()
	d, _ := holder.Decide(t.Context(), policy.Input{Route: policy.Route{ID: "/x"}})
	return d.Reason
}

func TestPolicyIsFollowedAndKept(t *testing.T) {
	p := newPeer(t)
	shelf := p.shelve()
	shelf.put(`"a"`, p.bundleOf(saying("a"), privateKeys()[0]))
	holder := newHolder()
	s, stop := run(t, p.bundled(t, holder))
	eventually(t, "the first", func() bool { return reason(t, holder) == "a" })
	require.Equal(t, "Bearer", strings.Fields(p.request(bundlePath).Header.Get("Authorization"))[0])
	shelf.put(`"b"`, p.bundleOf(saying("b"), privateKeys()[0]))
	eventually(t, "the second", func() bool { return reason(t, holder) == "b" && s.Status().PolicyFailed == "" })
	require.EqualValues(t, 2, holder.Epoch())
	shelf.put(`"b2"`, p.bundleOf(saying("b"), privateKeys()[0]))
	eventually(t, "the same under another tag", func() bool { return p.request(bundlePath).Header.Get("If-None-Match") == `"b2"` })
	require.EqualValues(t, 2, holder.Epoch(), "what was decided stays decided")
	stop()

	// With the IdP away, what is on disk is verified with the keys on disk.
	p.CloseClientConnections()
	p.Close()
	kept := filepath.Join(s.opts.DataDir, bundleName)
	content, err := os.ReadFile(kept)
	require.NoError(t, err)
	start := func() (*policy.Holder, *Syncer) {
		holder := newHolder()
		again, err := New(t.Context(), p.bundled(t, holder, func(o *Options) { o.DataDir, o.Spool = s.opts.DataDir, s.opts.Spool }))
		require.NoError(t, err)
		t.Cleanup(again.keys.close)
		return holder, again
	}
	holder, _ = start()
	require.Equal(t, "b", reason(t, holder))

	forged := p.bundleOf(saying("forged"), privateKeys()[1])
	other, err := json.Marshal(keptBundle{p.URL, `"x"`, forged})
	require.NoError(t, err)
	elsewhere, err := json.Marshal(keptBundle{"https://other.example", `"x"`, forged})
	require.NoError(t, err)
	for name, damaged := range map[string][]byte{
		"half": content[:len(content)/2], "another key": other, "another issuer": elsewhere, "no bundle": []byte(`{"issuer":"` + p.URL + `","bundle":"AAAA"}`),
	} {
		require.NoError(t, os.WriteFile(kept, damaged, 0o600))
		holder, _ = start()
		require.Equal(t, policy.ReasonMissing, reason(t, holder), name)
	}
	require.NoError(t, os.Remove(kept))
	require.NoError(t, os.Mkdir(kept, 0o700))
	_, err = New(t.Context(), p.bundled(t, newHolder(), func(o *Options) { o.DataDir, o.Spool = s.opts.DataDir, s.opts.Spool }))
	require.Error(t, err, "a disk that cannot be read")
}

func TestPolicyThatIsRefusedKeepsTheLastGood(t *testing.T) {
	for text, bad := range map[string]func(p *peer) []byte{
		"unknown":              func(p *peer) []byte { return p.bundleOf(saying("evil"), privateKeys()[1]) },
		"gzip":                 func(*peer) []byte { return []byte("<html>a captive portal</html>") },
		"the answer is longer": func(*peer) []byte { return make([]byte, policy.MaxBundle+1) },
		"undefined function":   func(p *peer) []byte { return p.bundleOf(leaning(), privateKeys()[0]) },
		"unexpected EOF":       func(p *peer) []byte { b := p.bundleOf(saying("evil"), privateKeys()[0]); return b[:len(b)-20] },
		"issuer":               func(p *peer) []byte { return p.elsewhere(saying("evil")) },
		"answered 500":         nil,
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			p := newPeer(t)
			shelf := p.shelve()
			shelf.put(`"good"`, p.bundleOf(saying("good"), privateKeys()[0]))
			holder, counted := newHolder(), metrics.NewSet()
			s, _ := run(t, p.bundled(t, holder, func(o *Options) { o.Metrics = counted }))
			eventually(t, "the first", func() bool { return reason(t, holder) == "good" })
			if bad == nil {
				p.answers(bundlePath, 500, "")
			} else {
				shelf.put(`"bad"`, bad(p))
			}
			eventually(t, "refused", func() bool { return strings.Contains(s.Status().PolicyFailed, text) })
			require.Equal(t, "good", reason(t, holder))
			var page bytes.Buffer
			counted.WritePrometheus(&page)
			require.NotContains(t, page.String(), `sidecar_policy_bundle_total{result="failed"} 0`)

			shelf = p.shelve()
			shelf.put(`"better"`, p.bundleOf(saying("better"), privateKeys()[0]))
			eventually(t, "it recovers", func() bool { return reason(t, holder) == "better" && s.Status().PolicyFailed == "" })
		})
	}
}

// elsewhere is a bundle of another issuer, signed by our key.
func (p *peer) elsewhere(folder fstest.MapFS) []byte {
	other := &peer{t: p.t, Server: &httptest.Server{URL: "https://other.example"}}
	return other.bundleOf(folder, privateKeys()[0])
}

// A bundle that was refused is tried again while it is the only one: what it was
// refused for may pass.
func TestPolicyThatIsRefusedIsTriedAgain(t *testing.T) {
	p := newPeer(t)
	shelf := p.shelve()
	shelf.put(`"a"`, p.bundleOf(saying("a"), privateKeys()[0]))
	holder := newHolder()
	var mu sync.Mutex
	busy := true
	o := p.bundled(t, holder)
	take := o.TakePolicy
	o.TakePolicy = func(ctx context.Context, b *policy.OpenedBundle) error {
		mu.Lock()
		defer mu.Unlock()
		if busy {
			return context.DeadlineExceeded
		}
		return take(ctx, b)
	}
	s, _ := run(t, o)
	eventually(t, "refused", func() bool { return strings.Contains(s.Status().PolicyFailed, "deadline") && p.count(bundlePath) >= 2 })
	require.Equal(t, policy.ReasonMissing, reason(t, holder))
	mu.Lock()
	busy = false
	mu.Unlock()
	eventually(t, "taken", func() bool { return reason(t, holder) == "a" && s.Status().PolicyFailed == "" })
}

// A key that is new to us is fetched, one that is revoked signs nothing.
func TestPolicyAndItsKey(t *testing.T) {
	p := newPeer(t)
	shelf := p.shelve()
	shelf.put(`"a"`, p.bundleOf(saying("a"), privateKeys()[0]))
	holder := newHolder()
	s, _ := run(t, p.bundled(t, holder))
	eventually(t, "the first", func() bool { return reason(t, holder) == "a" })
	p.setKeys(privateKeys()[0], privateKeys()[1])
	shelf.put(`"b"`, p.bundleOf(saying("b"), privateKeys()[1]))
	eventually(t, "signed by a new key", func() bool { return reason(t, holder) == "b" })

	p.revoke(feed.Entry{Type: feed.TypeKID, ID: kidOf(privateKeys()[0])})
	eventually(t, "the key is revoked", func() bool { return s.Revocations().revokedKey(kidOf(privateKeys()[0])) })
	shelf.put(`"c"`, p.bundleOf(saying("c"), privateKeys()[0]))
	eventually(t, "refused", func() bool { return strings.Contains(s.Status().PolicyFailed, "key is revoked") })
	require.Equal(t, "b", reason(t, holder))
}
