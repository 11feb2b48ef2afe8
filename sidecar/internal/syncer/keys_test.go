package syncer

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/shared/token"
)

func local(o *Options) { o.Local = true }

// knownKeys makes a syncer that has fetched the peer's keys once, and does nothing by itself.
func knownKeys(t *testing.T, p *peer, change ...func(*Options)) *Keys {
	t.Helper()
	s, err := New(t.Context(), p.options(t, append([]func(*Options){local}, change...)...))
	require.NoError(t, err)
	t.Cleanup(func() { s.keys.close(); s.client.close() })
	<-s.keys.join().done
	return s.Keys()
}

func TestA15_AFloodOfUnknownKidsIsOneFetchPerCooldown(t *testing.T) {
	p, c := newPeer(t), newClock()
	k := knownKeys(t, p, func(o *Options) { o.Now = c.now })
	require.Equal(t, 1, p.count("/jwks"))
	good := kidOf(privateKeys()[0])
	for round := range 3 {
		c.add(DefaultKeysCooldown)
		var flood sync.WaitGroup
		for worker := range 50 {
			flood.Go(func() {
				for i := range 20 {
					if k.Refetch(context.Background(), fmt.Sprintf("random-%d-%d-%d", round, worker, i)) {
						t.Error("a kid out of nowhere")
					}
					if _, err := k.Key(good); err != nil {
						t.Error(err)
					}
				}
			})
		}
		flood.Wait()
		require.Equal(t, 2+round, p.count("/jwks"), "one more fetch, whatever was asked for")
	}
	require.Len(t, k.unknown.until, min(maxUnknown, len(k.unknown.order)))
	require.LessOrEqual(t, len(k.unknown.order), maxUnknown)
}

func TestAnUnknownKidIsFoundAfterARotation(t *testing.T) {
	p, c := newPeer(t), newClock()
	k := knownKeys(t, p, func(o *Options) { o.Now = c.now })
	before := k.Epoch()
	next := privateKeys()[1]
	p.setKeys(privateKeys()[0], next)
	require.False(t, k.Refetch(t.Context(), kidOf(next)), "within the cooldown nobody is asked")
	c.add(DefaultKeysCooldown)
	var together sync.WaitGroup
	for range 20 {
		together.Go(func() {
			if !k.Refetch(context.Background(), kidOf(next)) {
				t.Error("all who wait for the fetch get its key")
			}
		})
	}
	together.Wait()
	require.Equal(t, 2, p.count("/jwks"))
	_, err := k.Key(kidOf(next))
	require.NoError(t, err)
	require.Equal(t, before+1, k.Epoch())
}

// A kid that a fetch did not bring causes no other, cooldown or not, until it is forgotten.
func TestUnknownKidsAreRemembered(t *testing.T) {
	p, c := newPeer(t), newClock()
	k := knownKeys(t, p, func(o *Options) { o.Now = c.now })
	for range 10 {
		c.add(DefaultKeysCooldown)
		require.False(t, k.Refetch(t.Context(), "nobody"))
	}
	require.Equal(t, 2, p.count("/jwks"))
	c.add(DefaultKeysTTL)
	require.False(t, k.Refetch(t.Context(), "nobody"))
	require.Equal(t, 3, p.count("/jwks"))

	p.answers("/jwks", 500, "")
	c.add(DefaultKeysCooldown)
	require.False(t, k.Refetch(t.Context(), "somebody"))
	p.hook("/jwks", nil)
	p.setKeys(privateKeys()[0], privateKeys()[1])
	c.add(DefaultKeysCooldown)
	require.True(t, k.Refetch(t.Context(), kidOf(privateKeys()[1])), "a failed fetch says nothing about a kid")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	hang := make(chan struct{})
	p.hook("/jwks", func(http.ResponseWriter, *http.Request) bool { <-hang; return false })
	c.add(DefaultKeysCooldown)
	require.False(t, k.Refetch(ended, "another"), "a caller that left waits for nothing")
	close(hang)
}

func TestA16_HostileKeySetsChangeNothing(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	elsewhere := atomic.Int32{}
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		elsewhere.Add(1)
		_, _ = w.Write(jwks(t, privateKeys()[2]))
	}))
	defer other.Close()
	hostile := privateKeys()[2]
	jwk := func(change func(map[string]any)) string {
		raw, err := json.Marshal(token.PublicJWK(&hostile.PublicKey))
		require.NoError(t, err)
		members := map[string]any{}
		require.NoError(t, json.Unmarshal(raw, &members))
		change(members)
		raw, err = json.Marshal(map[string]any{"keys": []any{members}})
		require.NoError(t, err)
		return string(raw)
	}
	hang := make(chan struct{})
	defer close(hang)
	for name, hook := range map[string]func(w http.ResponseWriter, r *http.Request) bool{
		"500":           status(500, "oops"),
		"404":           status(404, string(jwks(t, hostile))),
		"204":           status(204, ""),
		"junk":          status(200, "<html>"),
		"empty body":    status(200, ""),
		"empty set":     status(200, `{"keys":[]}`),
		"no keys":       status(200, `{}`),
		"10 MiB":        status(200, `{"keys":[],"x":"`+strings.Repeat("x", 10<<20)+`"}`),
		"too many keys": status(200, `{"keys":[`+strings.Repeat(`{},`, 100_000)+`{}]}`),
		"304 unasked":   status(304, ""),
		"small key":     status(200, string(jwks(t, small))),
		"e=1":           status(200, jwk(func(m map[string]any) { m["e"] = "AQ" })),
		"use enc":       status(200, jwk(func(m map[string]any) { m["use"] = "enc" })),
		"private":       status(200, jwk(func(m map[string]any) { m["d"] = base64.RawURLEncoding.EncodeToString(hostile.D.Bytes()) })),
		"other alg":     status(200, jwk(func(m map[string]any) { m["alg"] = "HS256" })),
		"redirect": func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, other.URL, http.StatusFound)
			return true
		},
		"cut off": func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte(`{"keys":[`))
			return true
		},
		"hangs": func(_ http.ResponseWriter, r *http.Request) bool {
			select {
			case <-r.Context().Done():
			case <-hang:
			}
			return true
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPeer(t)
			k := knownKeys(t, p)
			before, good := k.Epoch(), kidOf(privateKeys()[0])
			p.hook("/jwks", func(w http.ResponseWriter, r *http.Request) bool {
				r.Header.Del("If-None-Match")
				return hook(w, r)
			})
			if name == "304 unasked" {
				k.source.kept.ETag = "" // so that it was not asked for
			}
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			require.False(t, k.fetch(ctx))
			_, err := k.Key(good)
			require.NoError(t, err, "the last good set stays")
			_, err = k.Key(kidOf(hostile))
			require.ErrorIs(t, err, token.ErrUnknownKey)
			require.Equal(t, before, k.Epoch())
			require.NotEmpty(t, k.trouble.text())
			require.Zero(t, elsewhere.Load(), "no redirect is followed")

			p.hook("/jwks", nil)
			require.True(t, k.fetch(t.Context()), "and it recovers")
			require.Empty(t, k.trouble.text())
		})
	}
}

func status(code int, body string) func(w http.ResponseWriter, r *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(code)
		_, _ = w.Write([]byte(body))
		return true
	}
}

func TestA16_BadKeysAreSkippedBesideGoodOnes(t *testing.T) {
	p := newPeer(t)
	a, b := token.PublicJWK(&privateKeys()[0].PublicKey), token.PublicJWK(&privateKeys()[1].PublicKey)
	impostor := b
	impostor.KeyID = a.KeyID
	broken := b
	broken.Exponent = "AQ"
	body, err := json.Marshal(token.JWKS{Keys: []token.JWK{a, impostor, broken}})
	require.NoError(t, err)
	p.answers("/jwks", 200, string(body))
	k := knownKeys(t, p)
	key, err := k.Key(a.KeyID)
	require.NoError(t, err)
	require.True(t, key.Public().Equal(&privateKeys()[0].PublicKey), "a second key of the same name does not replace the first")
	_, err = k.Key(b.KeyID)
	require.ErrorIs(t, err, token.ErrUnknownKey)
}

func TestKeysRefreshByThemselves(t *testing.T) {
	p := newPeer(t)
	s, _ := run(t, p.options(t, local, func(o *Options) { o.KeysTTL = 20 * time.Millisecond }))
	eventually(t, "asked conditionally", func() bool {
		r := p.request("/jwks")
		return r != nil && r.Header.Get("If-None-Match") != ""
	})
	epoch := s.Keys().Epoch()
	require.Equal(t, uint64(1), epoch, "304 is no change")
	p.setKeys(privateKeys()[1])
	eventually(t, "A17: a key that is gone is gone", func() bool {
		_, err := s.Keys().Key(kidOf(privateKeys()[0]))
		return err != nil && s.Keys().Epoch() == epoch+1
	})
	p.answers("/jwks", 500, "")
	eventually(t, "said", func() bool { return s.Status().KeysFailed != "" })
	require.Equal(t, 1, s.Status().Keys)
	p.hook("/jwks", nil)
	eventually(t, "recovered", func() bool { return s.Status().KeysFailed == "" })
	require.Equal(t, epoch+1, s.Keys().Epoch())
}

func TestStaleKeysAreNotTrusted(t *testing.T) {
	p, c := newPeer(t), newClock()
	k := knownKeys(t, p, func(o *Options) { o.Now = c.now })
	good := kidOf(privateKeys()[0])
	c.add(DefaultKeysMaxStale)
	_, err := k.Key(good)
	require.NoError(t, err)
	c.add(time.Second)
	_, err = k.Key(good)
	require.True(t, apierr.Is(err, apierr.Unavailable))
	require.Equal(t, "keys_stale", apierr.From(err).Reason)
	require.Equal(t, uint64(math.MaxUint64), k.Epoch(), "nothing remembered counts")
	require.True(t, k.fetch(t.Context()))
	require.Equal(t, uint64(1), k.Epoch())
	_, err = k.Key(good)
	require.NoError(t, err)
	c.add(-48 * time.Hour)
	_, err = k.Key(good)
	require.NoError(t, err, "a clock set back makes nothing stale")
}

func TestKeysSurviveARestart(t *testing.T) {
	p := newPeer(t)
	dir := t.TempDir()
	here := func(o *Options) { o.DataDir = dir }
	knownKeys(t, p, here)
	issuer := p.URL
	p.CloseClientConnections()
	p.Close()
	fresh := func(change ...func(*Options)) *Keys {
		s, err := New(t.Context(), p.options(t, append([]func(*Options){local, here}, change...)...))
		require.NoError(t, err)
		t.Cleanup(s.keys.close)
		return s.Keys()
	}
	_, err := fresh().Key(kidOf(privateKeys()[0]))
	require.NoError(t, err)
	for name, change := range map[string]func(*Options){
		"another issuer":   func(o *Options) { o.Issuer = "https://else.example.com" },
		"another address":  func(o *Options) { o.JWKSURL = issuer + "/other" },
		"long ago":         func(o *Options) { o.Now = func() time.Time { return time.Now().Add(25 * time.Hour) } },
		"a damaged file":   func(*Options) { damage(t, dir, keysName, 30) },
		"an unusable file": func(*Options) { write(t, dir, keysName, `{"issuer":"`+issuer+`","jwks":{"keys":[]}}`) },
		"a file in the way": func(o *Options) {
			o.DataDir = t.TempDir()
			require.NoError(t, os.Mkdir(filepath.Join(o.DataDir, "x"), 0o700))
		},
	} {
		_, err := fresh(change).Key(kidOf(privateKeys()[0]))
		require.Error(t, err, name)
	}
	require.NoError(t, os.Remove(filepath.Join(dir, keysName)))
	require.NoError(t, os.Mkdir(filepath.Join(dir, keysName), 0o700))
	_, err = New(t.Context(), p.options(t, local, here))
	require.Error(t, err, "a file that cannot be read is an error, not an empty one")
}

func damage(t *testing.T, dir, name string, at int) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(dir, name))
	require.NoError(t, err)
	content[at] ^= 0xff
	write(t, dir, name, string(content))
}

func write(t *testing.T, dir, name, content string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
}

func TestDiscovery(t *testing.T) {
	const wellKnown, openID = "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"
	good := func(p *peer) string { return fmt.Sprintf(`{"issuer":%q,"jwks_uri":%q}`, p.URL, p.URL+"/jwks") }
	for name, fact := range map[string]struct {
		set func(p *peer)
		ok  bool
	}{
		"plain":        {func(*peer) {}, true},
		"only OpenID":  {func(p *peer) { p.answers(wellKnown, 404, ""); p.answers(openID, 200, good(p)) }, true},
		"neither":      {func(p *peer) { p.answers(wellKnown, 404, ""); p.answers(openID, 404, "") }, false},
		"down":         {func(p *peer) { p.answers(wellKnown, 500, ""); p.answers(openID, 200, good(p)) }, false},
		"other issuer": {func(p *peer) { p.answers(wellKnown, 200, strings.Replace(good(p), p.URL, p.URL+"/", 1)) }, false},
		"no jwks_uri":  {func(p *peer) { p.answers(wellKnown, 200, fmt.Sprintf(`{"issuer":%q}`, p.URL)) }, false},
		"file": {func(p *peer) {
			p.answers(wellKnown, 200, fmt.Sprintf(`{"issuer":%q,"jwks_uri":"file:///etc/passwd"}`, p.URL))
		}, false},
		"junk":             {func(p *peer) { p.answers(wellKnown, 200, `[]`) }, false},
		"endless":          {func(p *peer) { p.answers(wellKnown, 200, strings.Repeat(" ", maxAnswer+1)+good(p)) }, false},
		"configured, down": {func(p *peer) { p.answers(wellKnown, 500, "") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPeer(t)
			fact.set(p)
			k := knownKeys(t, p)
			_, err := k.Key(kidOf(privateKeys()[0]))
			require.Equal(t, fact.ok, err == nil)
			require.Equal(t, fact.ok, k.trouble.text() == "")
		})
	}
	p := newPeer(t)
	p.answers(wellKnown, 500, "")
	k := knownKeys(t, p, func(o *Options) { o.JWKSURL = p.URL + "/jwks" })
	_, err := k.Key(kidOf(privateKeys()[0]))
	require.NoError(t, err, "configured: no metadata is asked for")

	require.Equal(t, []string{
		"https://h.example/.well-known/oauth-authorization-server/tenant", "https://h.example/tenant/.well-known/openid-configuration",
	}, metadataURLs("https://h.example/tenant"))
}

// The issuer moved its key set: metadata is asked again after a failure.
func TestKeySetMoves(t *testing.T) {
	p := newPeer(t)
	k := knownKeys(t, p)
	p.answers("/jwks", 410, "")
	p.answers("/.well-known/oauth-authorization-server", 200, fmt.Sprintf(`{"issuer":%q,"jwks_uri":%q}`, p.URL, p.URL+"/moved"))
	p.answers("/moved", 200, string(jwks(t, privateKeys()[1])))
	require.False(t, k.fetch(t.Context()))
	require.True(t, k.fetch(t.Context()))
	_, err := k.Key(kidOf(privateKeys()[1]))
	require.NoError(t, err)
}
