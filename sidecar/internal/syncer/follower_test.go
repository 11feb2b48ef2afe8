package syncer

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/feed"
	"github.com/sentryagent/agentidp/shared/token"
	"github.com/sentryagent/agentidp/sidecar/internal/authn"
)

func dead(r *Revocations, change func(c *claimsOf)) string {
	c := claimsOf{claims()}
	if change != nil {
		change(&c)
	}
	reason, _ := r.Revoked(&c.Claims)
	return reason
}

func TestFeedFollows(t *testing.T) {
	p := newPeer(t)
	p.revoke(feed.Entry{Type: feed.TypeAgent, ID: "agent", Epoch: 9})
	s, stop := run(t, p.options(t, func(o *Options) { o.PolicyRevision = func() string { return "rev-7" } }))
	r := s.Revocations()
	eventually(t, "the snapshot", func() bool { return dead(r, nil) == "agent_revoked" })
	eventually(t, "a long poll", func() bool { return p.request(feedPath).URL.Query().Get("wait") == "30" })
	request := p.request(feedPath)
	require.Equal(t, "e1.1", request.URL.Query().Get("after"), "acknowledged")
	require.Equal(t, s.ID(), request.Header.Get("X-Sidecar-Id"))
	require.NotContains(t, request.Header, "X-Sidecar-Name", "it has none")
	require.Equal(t, "1.0.0", request.Header.Get("X-Sidecar-Version"))
	require.Equal(t, "rev-7", request.Header.Get("X-Sidecar-Policy-Revision"))

	began, epoch := time.Now(), r.Epoch()
	p.revoke(feed.Entry{Type: feed.TypeKID, ID: "k-2"})
	other := func(c *claimsOf) { c.Subject, c.KID = "other", "k-2" }
	eventually(t, "the news", func() bool { return dead(r, other) == "key_revoked" })
	t.Logf("known after %s", time.Since(began))
	require.Greater(t, r.Epoch(), epoch)
	eventually(t, "acknowledged", func() bool {
		return s.Status().RevocationCursor == "e1.2" && p.request(feedPath).URL.Query().Get("after") == "e1.2"
	})
	polls := p.count(feedPath)
	require.LessOrEqual(t, polls, 6)
	stop()

	p.CloseClientConnections()
	p.Close()
	o := p.options(t, func(o *Options) { o.DataDir = s.opts.DataDir; o.Spool = s.opts.Spool })
	again, err := New(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(again.keys.close)
	require.Equal(t, "key_revoked", dead(again.Revocations(), other), "kept over a restart without the IdP")
	require.False(t, again.Revocations().Stale())
	require.Equal(t, "org-1", again.Organization())
	require.NoError(t, again.feed.journal.close())
}

// follow makes a follower that only the test polls.
func follow(t *testing.T, p *peer, change ...func(*Options)) *follower {
	t.Helper()
	s, err := New(t.Context(), p.options(t, change...))
	require.NoError(t, err)
	t.Cleanup(func() { s.keys.close(); s.client.close(); require.NoError(t, s.feed.journal.close()) })
	<-s.keys.join().done
	return s.feed
}

func TestSnapshotsThatAreNotBelieved(t *testing.T) {
	entry := feed.Entry{Type: feed.TypeAgent, ID: "agent", Epoch: 9}
	for name, body := range map[string]func(p *peer) string{
		"another issuer":   func(p *peer) string { return p.snapshot(func(s *feed.Snapshot) { s.Issuer += "/" }) },
		"old":              func(p *peer) string { return p.snapshot(func(s *feed.Snapshot) { s.IssuedAt -= 16 * 60 }) },
		"of the future":    func(p *peer) string { return p.snapshot(func(s *feed.Snapshot) { s.IssuedAt += 16 * 60 }) },
		"bad cursor":       func(p *peer) string { return p.snapshot(func(s *feed.Snapshot) { s.Cursor = "x" }) },
		"another's cursor": func(p *peer) string { return p.snapshot(func(s *feed.Snapshot) { s.Cursor = "e2.1" }) },
		"a foreign key":    func(p *peer) string { return foreignSnapshot(t, p) },
		"an access token":  func(p *peer) string { return sign(t, privateKeys()[0], "at+jwt", map[string]any{"iss": p.URL}) },
		"no entries": func(p *peer) string {
			return sign(t, privateKeys()[0], feed.SnapshotType, map[string]any{"iss": p.URL})
		},
		"entries no list": func(p *peer) string {
			return sign(t, privateKeys()[0], feed.SnapshotType, map[string]any{"entries": 1})
		},
		"not an object": func(*peer) string { return sign(t, privateKeys()[0], feed.SnapshotType, []int{}) },
		"entry no object": func(p *peer) string {
			return sign(t, privateKeys()[0], feed.SnapshotType, map[string]any{"entries": []int{1}})
		},
		"wrong member type": func(p *peer) string { return sign(t, privateKeys()[0], feed.SnapshotType, map[string]any{"iss": 1}) },
		"signed by a key that it revokes": func(p *peer) string {
			return p.snapshot(func(s *feed.Snapshot) {
				s.Entries = append(s.Entries, feed.Entry{Type: feed.TypeKID, ID: kidOf(privateKeys()[0])})
			})
		},
		"edited": func(p *peer) string {
			parts := strings.Split(p.snapshot(nil), ".")
			parts[1] = base64.RawURLEncoding.EncodeToString([]byte(fmt.Sprintf(`{"iss":%q,"entries":[]}`, p.URL)))
			return strings.Join(parts, ".")
		},
		"twice entries": func(p *peer) string {
			return sign(t, privateKeys()[0], feed.SnapshotType, rawJSON(`{"entries":[],"entries":[]}`))
		},
		"junk": func(*peer) string { return "a.b.c" },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPeer(t)
			p.revoke(entry)
			f := follow(t, p)
			p.answers(feedPath, 200, body(p), "Content-Type", feed.SnapshotMediaType)
			_, err := f.poll(t.Context(), 0)
			require.Error(t, err)
			require.Zero(t, f.revocations.Len())
			require.True(t, f.revocations.Stale(), "it counts as no answer")
			p.hook(feedPath, nil)
			_, err = f.poll(t.Context(), 0)
			require.NoError(t, err)
			require.Equal(t, 1, f.revocations.Len())
		})
	}
}

// claimsOf lets facts change claims in place.
type claimsOf struct{ token.Claims }

type rawJSON string

func (r rawJSON) MarshalJSON() ([]byte, error) { return []byte(r), nil }

func foreignSnapshot(t *testing.T, p *peer) string {
	t.Helper()
	own := p.keys
	p.setKeys(privateKeys()[2])
	defer p.setKeys(own...)
	return p.snapshot(nil)
}

// A snapshot signed by a key that was published since is looked for.
func TestSnapshotByANewKey(t *testing.T) {
	p, c := newPeer(t), newClock()
	f := follow(t, p, func(o *Options) { o.Now = c.now })
	p.revoke(feed.Entry{Type: feed.TypeAgent, ID: "agent", Epoch: 9})
	p.setKeys(privateKeys()[1], privateKeys()[0])
	c.add(DefaultKeysCooldown)
	_, err := f.poll(t.Context(), 0)
	require.NoError(t, err)
	require.Equal(t, "agent_revoked", dead(f.revocations, nil))
	f.revocations.apply([]feed.Entry{{Type: feed.TypeKID, ID: kidOf(privateKeys()[1])}}, "", c.now())
	_, err = f.poll(t.Context(), 0)
	require.ErrorContains(t, err, "revoked", "a revoked key signs nothing any more")
}

func TestPagesThatMakeTheFeedBeginAnew(t *testing.T) {
	for name, answer := range map[string]string{
		"another epoch":   `{"epoch":"e2","cursor":"e2.9","entries":[]}`,
		"two epochs":      `{"epoch":"e2","cursor":"e1.9","entries":[]}`,
		"back":            `{"epoch":"e1","cursor":"e1.0","entries":[]}`,
		"repeated entry":  `{"epoch":"e1","cursor":"e1.2","entries":[{"seq":1,"type":"kid","id":"k"}]}`,
		"out of order":    `{"epoch":"e1","cursor":"e1.4","entries":[{"seq":3,"type":"kid","id":"k"},{"seq":2,"type":"kid","id":"k"}]}`,
		"past the cursor": `{"epoch":"e1","cursor":"e1.2","entries":[{"seq":3,"type":"kid","id":"k"}]}`,
		"cursor refused":  "",
	} {
		t.Run(name, func(t *testing.T) {
			p := newPeer(t)
			p.revoke(feed.Entry{Type: feed.TypeAgent, ID: "agent", Epoch: 9})
			f := follow(t, p)
			_, err := f.poll(t.Context(), 0)
			require.NoError(t, err)
			if answer == "" {
				p.answers(feedPath, 400, `{"code":"VALIDATION_FAILED"}`)
			} else {
				p.answers(feedPath, 200, answer, "Content-Type", "application/json")
			}
			news, err := f.poll(t.Context(), 0)
			require.NoError(t, err)
			require.True(t, news, "asked again at once")
			require.Empty(t, f.revocations.position())
			require.Equal(t, "agent_revoked", dead(f.revocations, nil), "what is known stays in force")
			p.hook(feedPath, nil)
			_, err = f.poll(t.Context(), 0)
			require.NoError(t, err)
			require.Equal(t, "e1.1", f.revocations.position())
		})
	}
}

func TestPagesThatAreNoAnswer(t *testing.T) {
	p := newPeer(t)
	f := follow(t, p)
	_, err := f.poll(t.Context(), 0)
	require.NoError(t, err)
	at := f.revocations.seen.Load()
	for _, answer := range []func(){
		func() { p.answers(feedPath, 500, "") },
		func() { p.answers(feedPath, 403, `{"code":"FORBIDDEN"}`) },
		func() { p.answers(feedPath, 200, "junk") },
		func() { p.answers(feedPath, 200, `{"epoch":"e1","cursor":"nonsense"}`) },
		func() { p.answers(feedPath, 302, "", "Location", "http://127.0.0.1:1/") },
		func() { p.answers(feedPath, 200, strings.Repeat(" ", maxPage+1)) },
	} {
		answer()
		_, err := f.poll(t.Context(), 0)
		require.Error(t, err)
		require.Same(t, at, f.revocations.seen.Load())
	}
	p.answers(feedPath, 200, `{"epoch":"e1","cursor":"e1.1","entries":[{"seq":1,"type":"moon","id":"x"}]}`)
	news, err := f.poll(t.Context(), 0)
	require.NoError(t, err)
	require.True(t, news)
	require.Equal(t, uint64(1), f.unknown.Get(), "an unknown type is loud, and stops nothing")
}

// A refused token is replaced, not repeated.
func TestOwnTokenRevoked(t *testing.T) {
	p := newPeer(t)
	f := follow(t, p)
	var first atomic.Value
	p.hook(feedPath, func(w http.ResponseWriter, r *http.Request) bool {
		if first.CompareAndSwap(nil, r.Header.Get("Authorization")) || first.Load() == r.Header.Get("Authorization") {
			refuse(w, 401, `{"code":"UNAUTHENTICATED"}`)
			return true
		}
		return false
	})
	_, err := f.poll(t.Context(), 0)
	require.ErrorContains(t, err, "401")
	_, err = f.poll(t.Context(), 0)
	require.NoError(t, err)
}

func TestFeedComesBack(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	p.answers(feedPath, 503, "", "Retry-After", "1")
	s, _ := run(t, p.options(t))
	eventually(t, "said", func() bool { return strings.Contains(s.Status().RevocationsFailed, "503") })
	require.True(t, s.Status().RevocationsStale)
	p.hook(feedPath, nil)
	eventually(t, "back", func() bool { return s.Status().Ready() && s.Status().RevocationsFailed == "" })
}

// An IdP that does not wait is not asked in a loop.
func TestImpatientFeed(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	p.hook(feedPath, func(_ http.ResponseWriter, r *http.Request) bool {
		q := r.URL.Query()
		q.Set("wait", "0")
		r.URL.RawQuery = q.Encode()
		return false
	})
	s, _ := run(t, p.options(t))
	eventually(t, "ready", func() bool { return s.Status().Ready() })
	began, before := time.Now(), p.count(feedPath)
	eventually(t, "six more polls", func() bool { return p.count(feedPath) >= before+6 })
	require.Greater(t, time.Since(began), 4*shortest, "each takes its time")
}

func TestTidyPrunesAndCompacts(t *testing.T) {
	p, c := newPeer(t), newClock()
	p.revoke(feed.Entry{Type: feed.TypeJTI, ID: "jti", Exp: c.now().Unix()})
	f := follow(t, p, func(o *Options) { o.Now = c.now })
	_, err := f.poll(t.Context(), 0)
	require.NoError(t, err)
	f.tidy()
	require.Equal(t, 1, f.revocations.Len())
	c.add(time.Hour)
	f.journal.appended = maxJournal
	f.tidy()
	require.Zero(t, f.revocations.Len())
	require.False(t, f.journal.due())
	f.journal.appended, f.journal.path = maxJournal, "/nowhere/at/all"
	f.tidy() // is logged, and stops nothing
}

// E5: revoked between the verification of a token and the end of the write into
// the cache; A17: its key leaves the set. The token is remembered, and refused.
func TestE5_TheCacheOutlivesNoRevocation(t *testing.T) {
	p := newPeer(t)
	const audience = "https://notes.example.com"
	s, _ := run(t, p.options(t, func(o *Options) { o.KeysTTL = 50 * time.Millisecond }))
	eventually(t, "ready", func() bool { return s.Status().Ready() })
	a, err := authn.New(authn.Options{Issuer: p.URL, Audience: audience, Keys: s.Keys()})
	require.NoError(t, err)
	defer a.Close()
	// pass is what the proxy asks of every request.
	pass := func(raw string) error {
		identity, err := a.Verify(context.Background(), raw)
		if err != nil {
			return err
		}
		if reason, revoked := s.Revocations().Revoked(&identity.Claims); revoked {
			return fmt.Errorf("%s", reason)
		}
		return nil
	}
	raw := accessToken(t, p, audience, "jti-1")
	require.NoError(t, pass(raw)) // the write into the cache goes on behind this line
	p.revoke(feed.Entry{Type: feed.TypeJTI, ID: "jti-1", Exp: time.Now().Unix() + 600})
	eventually(t, "revoked", func() bool { return pass(raw) != nil })
	for range 50 {
		require.EqualError(t, pass(raw), "token_revoked")
	}
	other := accessToken(t, p, audience, "jti-2")
	for range 20 {
		require.NoError(t, pass(other))
	}
	gone := time.Now()
	p.setKeys(privateKeys()[1])
	eventually(t, "the key is gone", func() bool { return pass(other) != nil })
	t.Logf("after %s", time.Since(gone))
	require.ErrorContains(t, pass(other), "unknown_key")
}

func accessToken(t *testing.T, p *peer, audience, jti string) string {
	t.Helper()
	now := time.Now().Unix()
	return sign(t, privateKeys()[0], "at+jwt", map[string]any{
		"iss": p.URL, "sub": "agent", "aud": audience, "client_id": "client", "scope": "notes:read", "iat": now, "exp": now + 600,
		"jti": jti, "org": "org", "rev": []int{0, 0, 0},
	})
}
