package authn

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sentryagent/agentidp/shared/alloctest"
	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/shared/token"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	issuer   = "https://idp.example.com"
	audience = "https://notes.example.com"
)

// keys is a key set that tests change.
type keys struct {
	mu       sync.Mutex
	byKID    map[string]*rsa.PublicKey
	later    map[string]*rsa.PublicKey // known after a refetch
	epoch    uint64
	refetchs int
	broken   error
}

func (k *keys) Key(kid string) (*token.Key, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.broken != nil {
		return nil, k.broken
	}
	if key := k.byKID[kid]; key != nil {
		return token.NewKey(key), nil
	}
	return nil, token.ErrUnknownKey
}

func (k *keys) Epoch() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.epoch
}

func (k *keys) Refetch(_ context.Context, kid string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.refetchs++
	if key := k.later[kid]; key != nil {
		k.byKID[kid] = key
		k.epoch++
		return true
	}
	return false
}

func (k *keys) remove(kid string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.byKID, kid)
	k.epoch++
}

type world struct {
	t    *testing.T
	key  *rsa.PrivateKey
	keys *keys
	now  time.Time
	a    *Authenticator
}

var generate = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

func newWorld(t *testing.T, edit func(*Options)) *world {
	t.Helper()
	key, err := generate()
	require.NoError(t, err)
	w := &world{t: t, key: key, now: time.Now()}
	w.keys = &keys{byKID: map[string]*rsa.PublicKey{"k1": &key.PublicKey}, later: map[string]*rsa.PublicKey{"k2": &key.PublicKey}}
	o := Options{Issuer: issuer, Audience: audience, Keys: w.keys, Now: func() time.Time { return w.now }}
	if edit != nil {
		edit(&o)
	}
	w.a, err = New(o)
	require.NoError(t, err)
	t.Cleanup(w.a.Close)
	return w
}

func (w *world) sign(kid string, edit func(jwt.MapClaims)) string {
	w.t.Helper()
	claims := jwt.MapClaims{
		"iss": issuer, "sub": "agent-1", "aud": audience, "client_id": "aidp_c_0123456789abcdefghijkl", "scope": "notes:read",
		"iat": w.now.Unix(), "exp": w.now.Add(10 * time.Minute).Unix(), "jti": fmt.Sprint(time.Now().UnixNano()), "org": "default", "rev": []int{0, 0, 0},
	}
	if edit != nil {
		edit(claims)
	}
	t := jwt.NewWithClaims(jwt.SigningMethodRS256, claims)
	t.Header["kid"], t.Header["typ"] = kid, "at+jwt"
	signed, err := t.SignedString(w.key)
	require.NoError(w.t, err)
	return signed
}

func (w *world) refused(raw string, reason token.Reason) {
	w.t.Helper()
	_, err := w.ask(w.t.Context(), raw)
	var refused *token.Error
	require.ErrorAs(w.t, err, &refused)
	require.Equal(w.t, reason, refused.Reason)
}

// ask is what the proxy asks: what is remembered, else a verification.
func (w *world) ask(ctx context.Context, raw string) (Identity, error) {
	if identity, known := w.a.Recall(raw); known {
		return identity, nil
	}
	return w.a.Verify(ctx, raw)
}

// warm verifies until the cache, which takes its time, answers.
func (w *world) warm(raw string) {
	w.t.Helper()
	require.Eventually(w.t, func() bool {
		_, err := w.ask(w.t.Context(), raw)
		require.NoError(w.t, err)
		return w.a.hits.Get() > 0
	}, time.Minute, time.Millisecond)
}

func TestAGoodTokenIsVerifiedOnceAndThenRemembered(t *testing.T) {
	w := newWorld(t, nil)
	raw := w.sign("k1", nil)
	identity, err := w.ask(t.Context(), raw)
	require.NoError(t, err)
	require.Equal(t, "agent-1", identity.Claims.Subject)
	w.warm(raw)
	alloctest.Zero(t, func() {
		if _, err := w.ask(context.Background(), raw); err != nil {
			t.Error(err)
		}
	}, "the hit path does not allocate")
}

func TestARememberedTokenDiesWithItsTimeAndTheKeySet(t *testing.T) {
	w := newWorld(t, nil)
	raw := w.sign("k1", nil)
	w.warm(raw)
	w.now = w.now.Add(59 * time.Second)
	hits := w.a.hits.Get()
	_, err := w.ask(t.Context(), raw)
	require.NoError(t, err)
	require.Equal(t, hits+1, w.a.hits.Get())
	w.now = w.now.Add(time.Second)
	_, err = w.ask(t.Context(), raw)
	require.NoError(t, err)
	require.Equal(t, hits+1, w.a.hits.Get(), "after a minute it is verified again")
	w.now = w.now.Add(10 * time.Minute)
	w.refused(raw, token.Expired)
}

func TestA17_AKeyThatLeavesTheSetTakesRememberedTokensWithIt(t *testing.T) {
	w := newWorld(t, nil)
	raw := w.sign("k1", nil)
	w.warm(raw)
	w.keys.remove("k1")
	w.refused(raw, token.UnknownKey)
}

func TestE3_ATokenOfAnotherAudienceOrIssuerIsNeverTakenFromACache(t *testing.T) {
	w := newWorld(t, nil)
	other := newWorld(t, func(o *Options) { o.Audience = "https://other.example.com"; o.Keys = w.keys })
	foreign := newWorld(t, func(o *Options) { o.Issuer = "https://else.example.com"; o.Keys = w.keys })
	raw := w.sign("k1", nil)
	w.warm(raw)
	other.refused(raw, token.AudienceMismatch)
	foreign.refused(raw, token.IssuerMismatch)
}

func TestE4_CollidingHashesAreToldApart(t *testing.T) {
	w := newWorld(t, nil)
	w.a.fold = func(mark) uint64 { return 7 }
	mine, theirs := w.sign("k1", nil), w.sign("k1", func(c jwt.MapClaims) { c["sub"] = "agent-2" })
	w.warm(mine)
	identity, err := w.ask(t.Context(), theirs)
	require.NoError(t, err)
	require.Equal(t, "agent-2", identity.Claims.Subject)
	w.refused(theirs[:len(theirs)-4]+"AAAA", token.BadSignature)
}

func TestAnUnknownKeyIsAskedForOnce(t *testing.T) {
	w := newWorld(t, nil)
	_, err := w.ask(t.Context(), w.sign("k2", nil))
	require.NoError(t, err)
	require.Equal(t, 1, w.keys.refetchs)
	w.refused(w.sign("k3", nil), token.UnknownKey)
	require.Equal(t, 2, w.keys.refetchs)
	w.refused("x.y.z", token.Malformed)
	_, rest, _ := strings.Cut(w.sign("k4", nil), ".") // A3: no key is looked up for another algorithm
	w.refused(base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS384","typ":"at+jwt","kid":"k4"}`))+"."+rest, token.BadAlgorithm)
	w.refused(strings.Repeat(".", 100_000), token.Oversize)
	require.Equal(t, 2, w.keys.refetchs, "nothing malformed asks")
}

// A10: what is too long, or has too many parts, is neither hashed nor decoded.
func TestA10_AnOversizeTokenIsNotLookedAt(t *testing.T) {
	w := newWorld(t, nil)
	for _, raw := range []string{strings.Repeat(".", 100_000), strings.Repeat("A", 64<<10), strings.Repeat("e30.", 16<<10)} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range 100 {
			w.refused(raw, token.Oversize)
		}
		runtime.ReadMemStats(&after)
		require.Less(t, (after.TotalAlloc-before.TotalAlloc)/100, uint64(len(raw)/8), "bytes for one refusal")
	}
	require.Zero(t, w.a.misses.Get(), "not even looked up")
}

func TestWhatCannotBeDecidedIsNotARefusal(t *testing.T) {
	w := newWorld(t, nil)
	w.keys.broken = apierr.New(apierr.Unavailable, "stale").WithReason("keys_stale")
	_, err := w.ask(t.Context(), w.sign("k1", nil))
	require.True(t, apierr.Is(err, apierr.Unavailable), err)

	busy := newWorld(t, func(o *Options) { o.Verifying, o.Wait = 1, time.Millisecond })
	busy.a.turns <- struct{}{}
	_, err = busy.ask(t.Context(), busy.sign("k1", nil))
	require.True(t, apierr.Is(err, apierr.Overloaded), err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = busy.ask(ctx, busy.sign("k1", nil))
	require.Error(t, err)
	<-busy.a.turns
}

// With the cache off every verdict is the same.
func TestTheCacheChangesNoVerdict(t *testing.T) {
	with, without := newWorld(t, nil), newWorld(t, func(o *Options) { o.Entries = -1 })
	without.keys = with.keys
	without.a.options.Keys, without.a.verifier.Keys = with.keys, with.keys
	tokens := []string{with.sign("k1", nil), with.sign("k1", func(c jwt.MapClaims) { c["exp"] = with.now.Add(90 * time.Second).Unix() }), with.sign("k1", func(c jwt.MapClaims) { c["aud"] = "x" }), "nonsense"}
	for step := range 60 {
		if step == 40 {
			with.keys.remove("k1")
		}
		for i, raw := range tokens {
			a, errA := with.ask(t.Context(), raw)
			b, errB := without.ask(t.Context(), raw)
			require.Equal(t, errA == nil, errB == nil, "step %d token %d", step, i)
			require.Equal(t, a, b)
			if errA != nil {
				require.Equal(t, errA.Error(), errB.Error())
			}
		}
		with.now = with.now.Add(5 * time.Second)
		without.now = with.now
	}
	require.Positive(t, with.a.hits.Get())
	require.Zero(t, without.a.hits.Get())
}

// A20: what the cache drops is verified again, and counted.
func TestA20_WhatIsDroppedIsVerifiedAgain(t *testing.T) {
	w := newWorld(t, nil)
	w.a.Close() // it drops everything from now on
	raw := w.sign("k1", nil)
	for n := range uint64(3) {
		identity, err := w.ask(t.Context(), raw)
		require.NoError(t, err)
		require.Equal(t, "agent-1", identity.Claims.Subject)
		require.Equal(t, [3]uint64{0, n + 1, n + 1}, [3]uint64{w.a.hits.Get(), w.a.misses.Get(), w.a.dropped.Get()})
	}
	w.keys.remove("k1")
	w.refused(raw, token.UnknownKey)
}

func TestOptionsAreRequired(t *testing.T) {
	for _, o := range []Options{{}, {Issuer: issuer}, {Issuer: issuer, Audience: audience}} {
		_, err := New(o)
		require.Error(t, err)
	}
}

// A mark tells every text from every other: another byte, another length.
func TestMarks(t *testing.T) {
	real, err := newMarker()
	require.NoError(t, err)
	require.NotNil(t, real.gmac)
	text := strings.Repeat("e30.", 100)
	for name, m := range map[string]*marker{"GMAC": &real, "where FIPS 140 forbids it": {}} {
		seen := map[mark]string{m.of(text): text}
		for i := range len(text) {
			for _, other := range []string{text[:i], text[i:] + text[:i] + "x", text[:i] + "~" + text[i+1:]} {
				made := m.of(other)
				if text, met := seen[made]; met {
					require.Equal(t, text, other, name)
				}
				seen[made] = other
				require.Equal(t, made, m.of(strings.Clone(other)), name)
			}
		}
	}
	another, err := newMarker()
	require.NoError(t, err)
	require.NotEqual(t, real.of(text), another.of(text), "the key is this process's, this cache's")
}

// What is borrowed may change as soon as the answer is there.
func TestNothingOfATokensTextIsKept(t *testing.T) {
	w := newWorld(t, nil)
	raw := []byte(w.sign("k1", nil))
	identity, err := w.ask(t.Context(), unsafe.String(&raw[0], len(raw)))
	require.NoError(t, err)
	want := w.sign("k1", nil)
	clear(raw)
	require.Equal(t, "agent-1", identity.Claims.Subject)
	require.Equal(t, strings.Fields(identity.Claims.Scope), identity.Scope)
	require.NotZero(t, identity.Digest)
	w.warm(want)
}
