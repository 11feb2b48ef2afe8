package syncer

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// newOwn makes a credential of the peer that nobody uses but the test.
func newOwn(t *testing.T, p *peer, change ...func(*Options)) *credential {
	t.Helper()
	s, err := New(t.Context(), p.options(t, change...))
	require.NoError(t, err)
	t.Cleanup(func() { s.keys.close(); s.client.close() })
	return s.credential
}

func TestOwnToken(t *testing.T) {
	p, clock := newPeer(t), newClock()
	var form url.Values
	p.hook(tokenPath, func(_ http.ResponseWriter, r *http.Request) bool {
		if r.ParseForm() == nil {
			form = r.PostForm
		}
		return false
	})
	c := newOwn(t, p, func(o *Options) { o.Now = clock.now })
	require.Empty(t, c.identity.organization())
	first, err := c.token(t.Context())
	require.NoError(t, err)
	require.Equal(t, url.Values{"grant_type": {"client_credentials"}, "resource": {p.URL}}, form)
	require.Equal(t, "org-1", c.identity.organization())
	var together sync.WaitGroup
	for range 10 {
		together.Go(func() {
			if again, err := c.token(context.Background()); err != nil || again != first {
				t.Error("not the same token", err)
			}
		})
	}
	together.Wait()
	require.Equal(t, 1, p.count(tokenPath))

	clock.add(54 * time.Minute) // past four fifths and a tenth of them
	second, err := c.token(t.Context())
	require.NoError(t, err)
	require.NotEqual(t, first, second)
	c.forget(first)
	again, err := c.token(t.Context())
	require.NoError(t, err)
	require.Equal(t, second, again, "only the refused token is forgotten")
	c.forget(second)
	_, err = c.token(t.Context())
	require.NoError(t, err)
	require.Equal(t, 3, p.count(tokenPath))
}

func TestOwnTokenOutlivesAnOutage(t *testing.T) {
	p, clock := newPeer(t), newClock()
	c := newOwn(t, p, func(o *Options) { o.Now = clock.now })
	first, err := c.token(t.Context())
	require.NoError(t, err)
	p.answers(tokenPath, 503, `{"error":"temporarily_unavailable"}`, "Retry-After", "7")
	clock.add(54 * time.Minute)
	for range 5 {
		text, err := c.token(t.Context())
		require.NoError(t, err)
		require.Equal(t, first, text, "still good, although due")
	}
	require.Equal(t, 2, p.count(tokenPath), "asked once, then not before Retry-After")
	clock.add(6 * time.Second)
	_, err = c.token(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2, p.count(tokenPath))
	clock.add(2 * time.Second)
	_, err = c.token(t.Context())
	require.NoError(t, err)
	require.Equal(t, 3, p.count(tokenPath))
	clock.add(10 * time.Minute)
	_, err = c.token(t.Context())
	require.ErrorContains(t, err, "503", "now it is over")
	p.hook(tokenPath, nil)
	clock.add(time.Minute)
	_, err = c.token(t.Context())
	require.NoError(t, err)
}

func TestARefusedCredentialIsTriedSlowly(t *testing.T) {
	p, clock := newPeer(t), newClock()
	c := newOwn(t, p, func(o *Options) { o.Now = clock.now; o.ClientSecret = "wrong" })
	for range 50 {
		_, err := c.token(t.Context())
		require.ErrorContains(t, err, "invalid_client")
		clock.add(time.Second)
	}
	require.Equal(t, 1, p.count(tokenPath))
	clock.add(20 * time.Second)
	_, err := c.token(t.Context())
	require.Error(t, err)
	require.Equal(t, 2, p.count(tokenPath))
	require.NotContains(t, err.Error(), "wrong", "the secret is in no error")
}

func TestUnusableTokenAnswers(t *testing.T) {
	for _, body := range []string{
		"", "[]", `{}`, `{"access_token":"x","token_type":"mac","expires_in":60}`, `{"access_token":"x","token_type":"Bearer"}`,
		`{"token_type":"Bearer","expires_in":60}`, strings.Repeat("x", maxAnswer+1),
	} {
		p := newPeer(t)
		p.answers(tokenPath, 200, body)
		_, err := newOwn(t, p).token(t.Context())
		require.Error(t, err)
	}
	p := newPeer(t)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	c := newOwn(t, p)
	_, err := c.token(ended)
	require.ErrorIs(t, err, context.Canceled)
	_, err = c.token(t.Context())
	require.NoError(t, err, "a caller that left says nothing about the IdP")
	for token, org := range map[string]string{"": "", "a.b": "", "a.!.c": "", "a.e30.c": "", "a.W10.c": ""} {
		require.Equal(t, org, organizationOf(token))
	}
}

func TestIdentityIsKept(t *testing.T) {
	dir := t.TempDir()
	first, err := loadIdentity(dir, "i", "c")
	require.NoError(t, err)
	require.NoError(t, uuid.Validate(first.id))
	require.NoError(t, first.learn("org-1"))
	require.NoError(t, first.learn(""), "an empty answer teaches nothing")
	again, err := loadIdentity(dir, "i", "c")
	require.NoError(t, err)
	require.Equal(t, first.id, again.id)
	require.Equal(t, "org-1", again.organization())
	other, err := loadIdentity(dir, "i", "another credential")
	require.NoError(t, err)
	require.Equal(t, first.id, other.id, "the folder's id stays")
	require.Empty(t, other.organization(), "what another credential taught does not")

	damage(t, dir, identityName, 0)
	_, err = loadIdentity(dir, "i", "c")
	require.ErrorContains(t, err, "damaged")
	_, err = loadIdentity(filepath.Join(dir, "absent"), "i", "c")
	require.Error(t, err)
	require.NoError(t, os.Remove(filepath.Join(dir, identityName)))
	require.NoError(t, os.Mkdir(filepath.Join(dir, identityName), 0o700))
	_, err = loadIdentity(dir, "i", "c")
	require.Error(t, err)
}

func TestPace(t *testing.T) {
	near := func(want, got time.Duration) {
		t.Helper()
		require.InDelta(t, float64(want), float64(got), float64(want)/10+1)
	}
	p := pace{least: time.Second, most: 10 * time.Second}
	for _, seconds := range []int{1, 2, 4, 8, 10, 10} {
		near(time.Duration(seconds)*time.Second, p.bad(errors.New("away")))
	}
	for range 100 {
		near(10*time.Second, p.bad(nil))
	}
	p.good()
	near(time.Second, p.bad(nil))
	near(30*time.Second, p.bad(fmt.Errorf("x: %w", &refusal{status: 503, after: 30 * time.Second})))
	near(slow, p.bad(&refusal{status: 403}))
	p.good()
	near(time.Second, p.bad(&refusal{status: 401}))
	near(2*time.Second, p.bad(&refusal{status: 429}))
	near(4*time.Second, p.bad(&noToken{&refusal{status: 401}}))
	require.Zero(t, jitter(0))
}

func TestAge(t *testing.T) {
	now := time.Now()
	require.Equal(t, time.Minute, age(now, now.Add(-time.Minute)))
	slept := now.Add(-time.Minute).Round(0).Add(-time.Hour) // the wall went on while the machine slept
	require.Equal(t, time.Hour+time.Minute, age(now, slept))
}

func TestRefusalTexts(t *testing.T) {
	r := refused(&answer{status: 400, body: []byte(`{"code":"VALIDATION_FAILED","message":"a\u0007b` + strings.Repeat("x", 1000) + `"}`)})
	require.Less(t, len(r.Error()), 400)
	require.NotContains(t, r.Error(), "\a")
	require.Equal(t, "answered 502", refused(&answer{status: 502, body: []byte("<html>")}).Error())
}

func TestOptionsOfNew(t *testing.T) {
	for _, o := range []Options{
		{}, {Issuer: "https://i"}, {Issuer: "https://i", DataDir: t.TempDir()}, {Issuer: "ftp://i", DataDir: t.TempDir(), Local: true},
		{Issuer: "https://i", DataDir: t.TempDir(), Local: true, JWKSURL: "nonsense"}, {Issuer: "https://i", DataDir: os.DevNull + "/x", Local: true},
	} {
		_, err := New(t.Context(), o)
		require.Error(t, err)
	}
	s, err := New(t.Context(), Options{Issuer: "https://i", DataDir: t.TempDir(), Local: true})
	require.NoError(t, err)
	require.False(t, s.Revocations().Stale(), "there is no feed that could be silent")
	require.True(t, s.Status().KeysStale)
	require.False(t, s.Status().Ready())
	require.Empty(t, s.Organization())
	s.keys.close()
}
