package proxy_test

import (
	"bufio"
	"context"
	"crypto/rsa"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/policies"
	"github.com/sentryagent/agentidp/shared/decision"
	"github.com/sentryagent/agentidp/shared/policy"
	"github.com/sentryagent/agentidp/shared/token"
	"github.com/sentryagent/agentidp/sidecar/internal/authn"
	"github.com/sentryagent/agentidp/sidecar/internal/decide"
	"github.com/sentryagent/agentidp/sidecar/internal/proxy"
)

// authenticator is the sidecar's own.
type authenticator struct{ *authn.Authenticator }

func (a authenticator) Recall(raw string) (proxy.Identity, bool) {
	identity, known := a.Authenticator.Recall(raw)
	return proxy.Identity(identity), known
}

func (a authenticator) Verify(ctx context.Context, raw string) (proxy.Identity, error) {
	identity, err := a.Authenticator.Verify(ctx, raw)
	return proxy.Identity(identity), err
}

// rotating is a key set that changes.
type rotating struct {
	mu    sync.Mutex
	keys  map[string]*rsa.PublicKey // guarded by mu
	epoch uint64                    // guarded by mu
}

func (k *rotating) Key(kid string) (*token.Key, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if key := k.keys[kid]; key != nil {
		return token.NewKey(key), nil
	}
	return nil, token.ErrUnknownKey
}

func (k *rotating) Epoch() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.epoch
}

func (k *rotating) Refetch(context.Context, string) bool { return false }

func (k *rotating) turn(kid string, key *rsa.PublicKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.keys[kid] == nil {
		k.keys[kid] = key
	} else {
		delete(k.keys, kid)
	}
	k.epoch++
}

// moment is a clock that only the test moves.
type moment struct{ atomic.Int64 }

func (m *moment) now() time.Time       { return time.Unix(0, m.Load()) }
func (m *moment) pass(d time.Duration) { m.Add(int64(d)) }

// judge is one proxy with real verification and policy, with its caches or without.
type judge struct {
	*world
	conn   net.Conn
	reader *bufio.Reader
}

func newJudge(t *testing.T, up *upstream, keys *rotating, holder *policy.Holder, clock *moment, revoked *revocations, entries, bytes int64) *judge {
	set := metrics.NewSet()
	a, err := authn.New(authn.Options{Issuer: issuer, Audience: audience, Keys: keys, Entries: entries, Now: clock.now, Metrics: set, Wait: time.Minute})
	require.NoError(t, err)
	t.Cleanup(a.Close)
	d, err := decide.New(holder, decide.Options{CacheBytes: bytes, Now: clock.now, Metrics: set, MaxWait: time.Minute})
	require.NoError(t, err)
	t.Cleanup(d.Close)
	j := &judge{world: newWorld(t, up.URL, func(o *proxy.Options) {
		o.Verifier, o.Decider, o.Revocations, o.PolicyRevision, o.Now = authenticator{a}, d, revoked, holder.Revision, clock.now
		o.Metrics, o.Log, o.Upstream.KeepAlive = set, slog.New(slog.DiscardHandler), time.Minute
	})}
	j.metrics = set
	j.conn, err = net.Dial("tcp", j.addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = j.conn.Close() })
	j.reader = bufio.NewReader(j.conn)
	return j
}

// ask sends a request and says what the decision was.
func (j *judge) ask(t *testing.T, request, method string) string {
	require.NoError(t, j.conn.SetDeadline(time.Now().Add(30*time.Second)))
	_, err := io.WriteString(j.conn, request)
	require.NoError(t, err)
	r := read(t, j.reader, method)
	return fmt.Sprint(r.StatusCode, " ", r.reason(), " ", r.Header["Www-Authenticate"])
}

// decisions are the records of agents, without what differs from one request to
// another. Those of nobody are partly counts.
func (j *judge) decisions() []decision.Record {
	all := slices.DeleteFunc(j.records.all(), func(r decision.Record) bool { return r.AgentID == "" })
	for i := range all {
		all[i].DecisionID, all[i].RequestID, all[i].DurationMs = "", "", 0
	}
	return all
}

func authzPolicy(rules string) fs.FS {
	return fstest.MapFS{"authz.rego": {Data: []byte("package agentidp.authz\n\n" + rules)}}
}

// TestCachesChangeNoDecision sends the same random requests through two proxies,
// one with its caches and one without, while policies, keys, revocations and
// time change under them: E3, E5, E6 and A17 in all their mixtures.
func TestCachesChangeNoDecision(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(7, 8))
	pick := func(from ...string) string { return from[random.IntN(len(from))] }
	m := tokens(t)
	clock := &moment{}
	clock.Store(time.Now().UnixNano())
	keys := &rotating{keys: map[string]*rsa.PublicKey{m.kid: &m.key.PublicKey}}
	other := token.Thumbprint(&m.other.PublicKey)
	keys.turn(other, &m.other.PublicKey)
	holder, err := policy.NewHolder(t.Context(), policies.Sidecar, policy.Options{Timeout: time.Minute})
	require.NoError(t, err)
	revoked := &revocations{jti: map[string]bool{}}
	up := fastUpstream(t)
	cached := newJudge(t, up, keys, holder, clock, revoked, 0, 0)
	plain := newJudge(t, up, keys, holder, clock, revoked, -1, -1)

	jtis := []string{"a", "b", "c", "d"}
	fresh := func() string {
		return m.sign(t, jwt.SigningMethodRS256, m.key, func(h map[string]any, c jwt.MapClaims) {
			now := clock.now().Unix()
			c["jti"], c["scope"] = pick(jtis...), pick("notes:read", "notes:read notes:write", "secret:read", "*:read", "x:y")
			c["sub"], c["iat"], c["exp"] = pick(agentID, "agent-2"), now, now+int64(20+random.IntN(400))
			if random.IntN(12) == 0 {
				c["aud"] = "https://other.example"
			}
			if random.IntN(12) == 0 {
				h["kid"] = "nobody"
			}
		})
	}
	signed := func() string { // by the other key
		return m.sign(t, jwt.SigningMethodRS256, m.other, func(h map[string]any, c jwt.MapClaims) {
			now := clock.now().Unix()
			h["kid"], c["iat"], c["exp"], c["jti"] = other, now, now+120, pick(jtis...)
		})
	}
	pool := []string{"", "nonsense", fresh(), fresh(), fresh(), fresh(), fresh(), fresh(), signed(), signed()}
	seldom := func() bool { return random.IntN(4) == 0 } // so that most requests have something to remember
	renew := func() { pool[2+random.IntN(6)] = fresh() }
	rotate := func(kid string, key *rsa.PublicKey) {
		keys.turn(kid, key)
		if _, err := keys.Key(kid); err != nil && !seldom() {
			keys.turn(kid, key)
		}
	}
	reload := func() {
		member := pick("agent.id", "token.jti", "token.scope[0]", "request.method", "request.host", "request.host", "request.path", "request.path", "route.id", "route.capability")
		require.NoError(t, holder.Reload(t.Context(), authzPolicy(fmt.Sprintf(
			"decision := {\"allow\": true, \"reason\": \"yes\"} if input.%s in {\"a\", \"GET\", \"/notes/1\", \"one.example\", \"notes:read\", \"agent-2\"}\n\nelse := {\"allow\": false, \"reason\": %q}",
			member, pick("no", "never")))))
	}
	later := func() { clock.pass(time.Duration(random.IntN(40)) * time.Second) }
	change := []func(){
		renew, renew, renew, renew, renew, renew, later, later, later, later, reload, reload, reload,
		func() { pool[8+random.IntN(2)] = signed() },
		func() { rotate(m.kid, &m.key.PublicKey) },
		func() { rotate(other, &m.other.PublicKey) },
		func() { revoked.set(func(r *revocations) { r.jti[pick(jtis...)] = seldom() }) },
		func() { revoked.set(func(r *revocations) { r.stale = seldom() }) },
		func() { require.NoError(t, holder.Reload(t.Context(), policies.Sidecar)) },
	}
	seen := map[string]int{}
	for range 1_000 {
		if random.IntN(15) == 0 {
			change[random.IntN(len(change))]()
		}
		method, path, host := pick("GET", "GET", "POST"), pick("/notes", "/notes/1", "/notes/2", "/notes/latest", "/secret", "/lasting", "/shadow", "/nowhere"), pick("one.example", "two.example")
		head := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\n", method, path, host)
		if raw := pool[random.IntN(len(pool))]; raw != "" {
			head += "Authorization: Bearer " + raw + "\r\n"
		}
		head += "\r\n"
		want := plain.ask(t, head, method)
		require.Equal(t, want, cached.ask(t, head, method), head)
		seen[want]++
	}
	require.Greater(t, len(seen), 10, "%v", seen)
	require.NoError(t, cached.conn.Close())
	require.NoError(t, plain.conn.Close())
	cached.stop()
	plain.stop()
	want, got := plain.decisions(), cached.decisions()
	require.Len(t, got, len(want))
	for i := range want {
		require.Equal(t, want[i], got[i])
	}
	for _, name := range []string{"sidecar_token_cache_hits_total", "sidecar_decision_cache_hits_total"} {
		require.Greater(t, cached.metrics.GetOrCreateCounter(name).Get(), uint64(30), name)
	}
	require.Zero(t, plain.metrics.GetOrCreateCounter("sidecar_token_cache_hits_total").Get())
}
