package decide

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/fstest"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sentryagent/agentidp/policies"
	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/shared/policy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patient = time.Minute // a deadline that a busy machine keeps too

func authz(rules string) fstest.MapFS {
	return fstest.MapFS{"authz.rego": {Data: []byte("package agentidp.authz\n\n" + rules)}}
}

// slow takes hundreds of milliseconds, or its deadline.
const slow = `decision := {"allow": true, "reason": "slow"} if {
	upto := numbers.range(1, 1500)
	count([1 | some i in upto; some j in upto; i * j == input.token.exp]) >= 0
}
`

func newHolder(t testing.TB, rules string, timeout time.Duration) *policy.Holder {
	t.Helper()
	holder, err := policy.NewHolder(t.Context(), authz(rules), policy.Options{Timeout: timeout})
	require.NoError(t, err)
	return holder
}

func newDecider(t testing.TB, holder *policy.Holder, options Options) *Decider {
	t.Helper()
	d, err := New(holder, options)
	require.NoError(t, err)
	t.Cleanup(d.Close)
	return d
}

func request() ([32]byte, policy.Input) {
	return sha256.Sum256([]byte("token")), policy.Input{
		Agent:   policy.Agent{ID: "a-1", OrganizationID: "o-1", ClientID: "c-1"},
		Token:   policy.Token{JTI: "j-1", Audience: []string{"https://notes.example"}, Scope: []string{"notes:read"}, ExpiresAt: time.Now().Add(time.Hour).Unix()},
		Request: policy.Request{Method: "GET", Host: "notes.example", Path: "/notes/7", Peer: "192.0.2.1"},
		Route:   policy.Route{ID: "/notes/{id}", Capability: "notes:read"},
	}
}

// decide asks and waits until the cache has taken the answer.
func decide(t *testing.T, d *Decider, digest [32]byte, in policy.Input) policy.Decision {
	t.Helper()
	decision, err := d.Decide(t.Context(), digest, in)
	require.NoError(t, err)
	if d.cache != nil {
		d.cache.entries.Wait()
	}
	return decision
}

func requireUnavailable(t *testing.T, reason string, decision policy.Decision, err error) {
	t.Helper()
	require.Equal(t, policy.Decision{Reason: reason, Revision: decision.Revision}, decision)
	require.NotEmpty(t, decision.Revision)
	require.Equal(t, apierr.Unavailable, apierr.From(err).Code)
	require.Equal(t, reason, apierr.From(err).Reason)
}

func TestBuiltInPolicy(t *testing.T) {
	holder, err := policy.NewHolder(t.Context(), policies.Sidecar, policy.Options{Timeout: patient})
	require.NoError(t, err)
	d := newDecider(t, holder, Options{})
	digest, in := request()
	for range 2 {
		require.Equal(t, policy.Decision{Allow: true, Reason: policy.ReasonCapability, Revision: holder.Revision()}, decide(t, d, digest, in))
	}
	in.Request.Path = "/notes/8"
	decide(t, d, digest, in)
	require.Equal(t, [2]uint64{2, 1}, [2]uint64{d.cache.hits.Get(), d.cache.misses.Get()}, "another path of the route is no miss")
	in.Route.Capability = "notes:write"
	require.Equal(t, policy.Decision{Reason: policy.ReasonCapabilityMissing, Revision: holder.Revision()}, decide(t, d, digest, in), "the same route id after a change of routes")
}

// Of the built-in policy, which reads nothing of a token but its scope.
func TestTokensOfOneScopeShareDecisions(t *testing.T) {
	holder, err := policy.NewHolder(t.Context(), policies.Sidecar, policy.Options{Timeout: patient})
	require.NoError(t, err)
	d := newDecider(t, holder, Options{})
	digest, in := request()
	require.True(t, decide(t, d, digest, in).Allow)
	for i, row := range []struct {
		scope []string
		hit   uint64
		allow bool
	}{
		{[]string{"notes:read"}, 1, true}, {[]string{"notes:write"}, 0, false}, {[]string{"notes", "read"}, 0, false}, {[]string{"notes:read", "x"}, 0, true},
		{[]string{"x", "notes:read"}, 0, true}, {nil, 0, false}, {[]string{"notes:write"}, 1, false},
	} {
		before := d.cache.hits.Get()
		in.Token.JTI, in.Agent.ID, in.Token.Scope = fmt.Sprint(i), fmt.Sprint(i), row.scope
		require.Equal(t, row.allow, decide(t, d, sha256.Sum256(fmt.Append(nil, i)), in).Allow, i)
		require.Equal(t, before+row.hit, d.cache.hits.Get(), i)
	}
}

func TestRouteIDMustHoldASlash(t *testing.T) {
	holder, err := policy.NewHolder(t.Context(), policies.Files, policy.Options{Timeout: patient})
	require.NoError(t, err)
	d := newDecider(t, holder, Options{})
	digest, in := request()
	for _, id := range []string{"getAgent", "introspectToken", ""} {
		in.Route.ID = id
		decision, err := d.Decide(t.Context(), digest, in)
		requireUnavailable(t, policy.ReasonError, decision, err)
	}
}

func TestReloadIsSeenAtOnce(t *testing.T) {
	holder := newHolder(t, `decision := {"allow": true, "reason": "first"}`, patient)
	d := newDecider(t, holder, Options{})
	digest, in := request()
	require.Equal(t, "first", decide(t, d, digest, in).Reason)
	require.NoError(t, holder.Reload(t.Context(), authz(`decision := {"allow": false, "reason": "second"}`)))
	require.Equal(t, "second", decide(t, d, digest, in).Reason)
	require.Error(t, holder.Reload(t.Context(), authz(`decision :=`)))
	require.Equal(t, "second", decide(t, d, digest, in).Reason)
	require.EqualValues(t, 1, d.cache.hits.Get())
}

func TestTimeToLive(t *testing.T) {
	now := time.Now()
	holder := newHolder(t, `decision := {"allow": input.token.jti != "", "reason": "x"}`, patient)
	d := newDecider(t, holder, Options{Now: func() time.Time { return now }, MaxTTL: time.Hour})
	hits := func(want uint64, digest [32]byte, in policy.Input, why string) {
		t.Helper()
		before := d.cache.hits.Get()
		decide(t, d, digest, in)
		require.Equal(t, before+want, d.cache.hits.Get(), why)
	}
	digest, in := request()
	hits(0, digest, in, "first")
	now = now.Add(maxTTL - time.Nanosecond)
	hits(1, digest, in, "just before a minute")
	now = now.Add(time.Nanosecond)
	hits(0, digest, in, "a minute is the most")

	digest = sha256.Sum256([]byte("short"))
	in.Token.ExpiresAt = now.Add(10 * time.Second).Unix()
	hits(0, digest, in, "first")
	now = time.Unix(in.Token.ExpiresAt, -1)
	hits(1, digest, in, "until the token expires")
	now = time.Unix(in.Token.ExpiresAt, 0)
	hits(0, digest, in, "expired")
	hits(0, digest, in, "not kept past exp")
	in.Token.ExpiresAt = 0
	hits(0, digest, in, "a token without exp")
	hits(0, digest, in, "is not kept")
}

func TestWithoutToken(t *testing.T) {
	holder := newHolder(t, `decision := {"allow": input.agent.id == "", "reason": "x"}`, patient)
	d := newDecider(t, holder, Options{})
	_, known := request()
	var none [32]byte
	anonymous := policy.Input{Request: known.Request, Route: known.Route}
	for range 2 {
		require.True(t, decide(t, d, none, anonymous).Allow)
		require.False(t, decide(t, d, none, known).Allow, "an agent without a digest shares nothing")
		known.Agent = policy.Agent{}
		require.True(t, decide(t, d, none, known).Allow)
		known.Agent.ID = "a-1"
	}
	require.EqualValues(t, 1, d.cache.hits.Get())
}

func TestCollisionsAreMisses(t *testing.T) {
	holder := newHolder(t, `decision := {"allow": input.token.jti == "j-1", "reason": "x"}`, patient)
	d := newDecider(t, holder, Options{})
	d.cache.mask = 0
	digest, in := request()
	other := in
	other.Token.JTI = "j-2"
	for range 3 {
		require.True(t, decide(t, d, digest, in).Allow)
		require.False(t, decide(t, d, sha256.Sum256([]byte("other")), other).Allow)
	}
	require.Zero(t, d.cache.hits.Get())
}

func TestErrorsAreNotKept(t *testing.T) {
	digest, in := request()
	for rules, reason := range map[string]string{
		`decision := {"allow": true}`: policy.ReasonError,
		`decision := {"allow": true, "reason": "x", "obligations": {"fields": ["a"]}}`: policy.ReasonError,
		slow: policy.ReasonTimeout,
	} {
		d := newDecider(t, newHolder(t, rules, 20*time.Millisecond), Options{})
		for range 2 {
			decision, err := d.Decide(t.Context(), digest, in)
			requireUnavailable(t, reason, decision, err)
			d.cache.entries.Wait()
		}
		require.Zero(t, d.cache.hits.Get())
		require.Empty(t, d.slots)
	}
}

func TestEvaluationsAreBounded(t *testing.T) {
	d := newDecider(t, newHolder(t, slow, time.Minute), Options{InFlight: 1, MaxWait: 10 * time.Millisecond})
	digest, in := request()
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() {
		decision, err := d.Decide(ctx, digest, in)
		requireUnavailable(t, policy.ReasonTimeout, decision, err)
	})
	require.Eventually(t, func() bool { return len(d.slots) == 1 }, time.Minute, time.Millisecond)
	decision, err := d.Decide(t.Context(), digest, in)
	requireUnavailable(t, policy.ReasonTimeout, decision, err)
	require.ErrorIs(t, err, errBusy)
	require.Positive(t, apierr.From(err).RetryAfter)

	gone, leave := context.WithCancel(t.Context())
	leave()
	decision, err = d.Decide(gone, digest, in)
	requireUnavailable(t, policy.ReasonTimeout, decision, err)

	cancel()
	group.Wait()
	require.Empty(t, d.slots)
}

// TestCacheChangesNoDecision plays the same requests and reloads to a decider
// with a cache and to the engine, over policies that read different members.
func TestCacheChangesNoDecision(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	pick := func(from ...string) string { return from[random.IntN(len(from))] }
	rules := func() string {
		member := pick("agent.id", "token.jti", "token.scope[0]", "request.method", "request.host", "request.path", "request.peer", "route.id", "route.capability", "rpc.protocol", "rpc.method", "rpc.name")
		return fmt.Sprintf("decision := {\"allow\": true, \"reason\": \"yes\"} if input.%s in {\"1\", \"/1\"}\n\nelse := {\"allow\": false, \"reason\": \"%s\"}", member, pick("no", "never"))
	}
	holder := newHolder(t, rules(), patient)
	d := newDecider(t, holder, Options{})
	exp := time.Now().Add(time.Hour).Unix()
	for i := range 4000 {
		if i%100 == 0 {
			require.NoError(t, holder.Reload(t.Context(), authz(rules())))
		}
		token := pick("1", "2", "3")
		in := policy.Input{
			Agent:   policy.Agent{ID: token},
			Token:   policy.Token{JTI: token, Scope: []string{token}, ExpiresAt: exp},
			Request: policy.Request{Method: pick("1", "2"), Host: pick("1", "2"), Path: pick("/1", "/2"), Peer: pick("1", "2")},
			Route:   policy.Route{ID: pick("/1", "/2"), Capability: pick("1", "2")},
		}
		if random.IntN(3) > 0 {
			in.RPC = &policy.RPC{Protocol: pick("1", "2"), Method: pick("1", "2"), Name: pick("", "1", "2")}
		}
		want, err := holder.Decide(t.Context(), in)
		require.NoError(t, err)
		require.Equal(t, want, decide(t, d, sha256.Sum256([]byte(token)), in), "%+v", in)
	}
	require.Greater(t, d.cache.hits.Get(), uint64(1000))
}

func TestWithoutCache(t *testing.T) {
	d := newDecider(t, newHolder(t, `decision := {"allow": true, "reason": "x"}`, patient), Options{CacheBytes: -1})
	require.Nil(t, d.cache)
	digest, in := request()
	for range 2 {
		require.True(t, decide(t, d, digest, in).Allow)
	}
}

func TestBorrowedStringsAreCopied(t *testing.T) {
	d := newDecider(t, newHolder(t, `decision := {"allow": input.request.path == input.token.scope[0], "reason": "x"}`, patient), Options{})
	digest, in := request()
	in.Request.Path = "/a"
	decide(t, d, digest, in)
	found, ok := d.cache.entries.Get(d.cache.hash(&key{route: in.Route.ID, capability: in.Route.Capability, path: "/a"}, in.Token.Scope))
	require.True(t, ok)
	require.NotSame(t, unsafe.StringData(in.Token.Scope[0]), unsafe.StringData(found.scope[0]))
	require.NotSame(t, unsafe.StringData(in.Request.Path), unsafe.StringData(found.key.path))
	require.NotSame(t, unsafe.StringData(in.Route.ID), unsafe.StringData(found.key.route))
}

func TestCacheIsBounded(t *testing.T) {
	const limit = 64 << 10
	d := newDecider(t, newHolder(t, `decision := {"allow": input.token.jti != "", "reason": "x"}`, patient), Options{CacheBytes: limit})
	_, in := request()
	for i := range 2000 {
		decide(t, d, sha256.Sum256(fmt.Append(nil, i)), in)
	}
	kept := d.cache.entries.Len()
	require.LessOrEqual(t, kept, limit/entryBytes)
	require.Positive(t, kept)
}

// What the cache drops is decided again, and counted.
func TestWhatIsDroppedIsDecidedAgain(t *testing.T) {
	holder := newHolder(t, `decision := {"allow": true, "reason": "first"}`, patient)
	d := newDecider(t, holder, Options{})
	d.Close() // it drops everything from now on
	digest, in := request()
	for n := range uint64(3) {
		require.Equal(t, "first", decide(t, d, digest, in).Reason)
		require.Equal(t, [3]uint64{0, n + 1, n + 1}, [3]uint64{d.cache.hits.Get(), d.cache.misses.Get(), d.cache.dropped.Get()})
	}
	require.NoError(t, holder.Reload(t.Context(), authz(`decision := {"allow": false, "reason": "second"}`)))
	require.Equal(t, "second", decide(t, d, digest, in).Reason)
}

func TestConcurrentReload(t *testing.T) {
	holder := newHolder(t, `decision := {"allow": true, "reason": "epoch_1"}`, patient)
	d := newDecider(t, holder, Options{MaxWait: patient})
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	for worker := range 4 {
		group.Go(func() {
			digest, in := request()
			digest[0] = byte(worker % 2)
			for ctx.Err() == nil {
				before := holder.Epoch()
				decision, err := d.Decide(t.Context(), digest, in)
				after := holder.Epoch()
				require.NoError(t, err)
				var epoch uint64
				_, err = fmt.Sscanf(decision.Reason, "epoch_%d", &epoch)
				require.NoError(t, err)
				require.True(t, before <= epoch && epoch <= after, "%d not within %d..%d", epoch, before, after)
			}
		})
	}
	for i := range 40 {
		require.NoError(t, holder.Reload(t.Context(), authz(fmt.Sprintf(`decision := {"allow": true, "reason": "epoch_%d"}`, i+2))))
	}
	cancel()
	group.Wait()
}

func BenchmarkDecide(b *testing.B) {
	holder, err := policy.NewHolder(b.Context(), policies.Sidecar, policy.Options{Timeout: patient})
	require.NoError(b, err)
	digest, in := request()
	run := func(name string, options Options) {
		b.Run(name, func(b *testing.B) {
			d := newDecider(b, holder, options)
			_, err := d.Decide(b.Context(), digest, in)
			require.NoError(b, err)
			if d.cache != nil {
				d.cache.entries.Wait()
			}
			b.ReportAllocs()
			for b.Loop() {
				if decision, err := d.Decide(b.Context(), digest, in); err != nil || !decision.Allow {
					b.Fatal(decision, err)
				}
			}
		})
	}
	run("hit", Options{})
	run("evaluate", Options{CacheBytes: -1})
}

// The whole policy, as it comes in the IdP's bundle: with the cache and without
// it says the same as the sidecar's part alone, and another path is no miss.
func TestCacheChangesNoDecisionOfTheBundle(t *testing.T) {
	load := func(files fs.FS, options Options) *Decider {
		holder, err := policy.NewHolder(t.Context(), files, policy.Options{Timeout: patient, Sidecar: true})
		require.NoError(t, err)
		return newDecider(t, holder, options)
	}
	cached, plain, part := load(policies.Files, Options{}), load(policies.Files, Options{CacheBytes: -1}), load(policies.Sidecar, Options{CacheBytes: -1})
	random := rand.New(rand.NewPCG(5, 6))
	pick := func(from ...string) string { return from[random.IntN(len(from))] }
	for range 1000 { // within the minute that decisions last
		_, in := request()
		scope := pick("notes:read", "*:read", "agents:read", "x:y")
		digest := sha256.Sum256([]byte(scope))
		in.Token.Scope = []string{scope}
		in.Request.Path = "/api/v1/agents/" + pick("a-1", "a-2", "a-1/credentials")
		in.Route = policy.Route{ID: pick("/api/v1/agents/{id}", "/**"), Capability: pick("notes:read", "agents:read", "agents:write", "public")}
		want := decide(t, plain, digest, in)
		require.Equal(t, want, decide(t, cached, digest, in), "%+v", in)
		alone := decide(t, part, digest, in)
		alone.Revision = want.Revision
		require.Equal(t, want, alone, "%+v", in)
	}
	require.LessOrEqual(t, cached.cache.misses.Get(), uint64(4*2*4), "tokens, routes and capabilities; paths play no part")
}

func TestWithoutPolicy(t *testing.T) {
	d := newDecider(t, policy.NewEmptyHolder(policy.Options{Sidecar: true}), Options{})
	digest, in := request()
	for range 2 {
		decision, err := d.Decide(t.Context(), digest, in)
		require.Equal(t, policy.Decision{Reason: policy.ReasonMissing}, decision)
		require.Equal(t, policy.ReasonMissing, apierr.From(err).Reason)
	}
	require.Zero(t, d.cache.hits.Get())
	require.NoError(t, d.holder.Reload(t.Context(), policies.Sidecar))
	require.True(t, decide(t, d, digest, in).Allow)
}
