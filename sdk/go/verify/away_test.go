package verify_test

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	agentidp "github.com/sentryagent/agentidp/sdk/go"
	"github.com/sentryagent/agentidp/sdk/go/verify"
)

// idp answers in process, or hangs. Its fields are changed between requests only.
type idp struct {
	answers func(*http.Request) *http.Response

	mu      sync.Mutex // guards all below
	hangs   bool
	fetched []string // paths
	at      int      // how many fetches are under way
	most    int      // together
}

func (i *idp) RoundTrip(r *http.Request) (*http.Response, error) {
	i.mu.Lock()
	i.fetched = append(i.fetched, r.URL.Path)
	i.at++
	i.most = max(i.most, i.at)
	hangs := i.hangs
	i.mu.Unlock()
	defer func() {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.at--
	}()
	if hangs {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	return i.answers(r), nil
}

func (i *idp) hang(yes bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.hangs, i.fetched, i.most = yes, nil, 0
}

// paths are those fetched since hang was called.
func (i *idp) paths() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Clone(i.fetched)
}

// bubble runs f in synthetic time that begins where the vectors do.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Unix(now, 0)))
		f(t)
	})
}

func realTime(t *testing.T, transport http.RoundTripper) *verify.Verifier {
	t.Helper()
	v, err := verify.New(verify.Options{Issuer: issuer, Audience: audience, HTTPClient: &http.Client{Transport: transport}})
	require.NoError(t, err)
	t.Cleanup(v.Settle)
	return v
}

// The fetch that brings the key ends between the lookup that missed it and the
// wait for it: the token is good.
func TestAKeyThatArrivesMeanwhileIsSeen(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f, at := readForge(t), int64(now)
		answers := &web{t: t, keys: read[documents](t, "jwks.json"), answer: "a"}
		v := verifier(t, answers, &at, nil)
		_, err := v.Verify(t.Context(), f.good("a", "j", now))
		require.NoError(t, err)
		at, answers.answer = now+11, "a and b"
		v.AfterAMiss(func() {
			_, err := v.Verify(t.Context(), f.good("b", "j", now))
			require.NoError(t, err)
		})
		_, err = v.Verify(t.Context(), f.good("b", "j", now))
		require.Equal(t, "accept", outcome(t, err))
		require.Equal(t, 2, answers.fetches)
	})
}

func TestTheKeySetIsConfirmedByItsETag(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f, at, document := readForge(t), int64(now), "a"
		var asked []string
		v := verifier(t, roundTrip(func(r *http.Request) (*http.Response, error) {
			asked = append(asked, r.Header.Get("If-None-Match"))
			if etag := `"` + document + `"`; r.Header.Get("If-None-Match") == etag {
				return respond(r, http.StatusNotModified, ""), nil
			}
			response := respond(r, http.StatusOK, read[documents](t, "jwks.json").body(t, document))
			response.Header.Set("ETag", `"`+document+`"`)
			return response, nil
		}), &at, nil)
		ask := func(second int64, key string) string {
			at = now + second
			_, err := v.Verify(t.Context(), f.good(key, "j", at))
			v.Settle()
			return outcome(t, err)
		}
		require.Equal(t, "accept", ask(0, "a"))
		require.Equal(t, "accept", ask(80_000, "a"), "due: fetched behind it")
		require.Equal(t, "accept", ask(160_000, "a"), "a 304 confirmed it")
		document = "a and b"
		require.Equal(t, "accept", ask(160_011, "b"))
		require.Equal(t, []string{"", `"a"`, `"a"`, `"a"`}, asked)
		require.Equal(t, "accept", ask(240_000, "b"))
		require.Equal(t, `"a and b"`, asked[4])
	})
}

func TestANotModifiedThatNobodyAskedForIsNoAnswer(t *testing.T) {
	f, at := readForge(t), int64(now)
	v := verifier(t, &web{t: t, keys: read[documents](t, "jwks.json"), answer: "status 304"}, &at, nil)
	_, err := v.Verify(t.Context(), f.good("a", "j", now))
	require.Equal(t, "keys_stale", outcome(t, err))
}

func TestIntrospectionWaitsTwoSeconds(t *testing.T) {
	f := readForge(t)
	bubble(t, func(t *testing.T) {
		away := &idp{answers: func(r *http.Request) *http.Response {
			return respond(r, http.StatusOK, `{"access_token":"t","token_type":"Bearer","expires_in":60,"active":true}`)
		}}
		client, err := agentidp.NewClient(agentidp.Config{URL: issuer, ClientID: "c", ClientSecret: "s", HTTPClient: &http.Client{Transport: away}})
		require.NoError(t, err)
		checker := verify.Introspection(client)(nil)
		check := func(ctx context.Context) (time.Duration, string) {
			waited, err := took(func() error { return checker.Check(ctx, f.good("a", "j", now), nil) })
			return waited, outcome(t, err)
		}
		waited, said := check(t.Context())
		require.Zero(t, waited)
		require.Equal(t, "accept", said)
		away.hang(true)
		waited, said = check(t.Context())
		require.Equal(t, 2*time.Second, waited)
		require.Equal(t, "revocations_stale", said)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		waited, said = check(ctx)
		require.Equal(t, time.Second, waited, "the caller's own time")
		require.Equal(t, "revocations_stale", said)
	})
}

// What is done to the claims of one token is not done to those of the next.
func TestClaimsAreTheCallersOwn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f, at := readForge(t), int64(now)
		v := verifier(t, &web{t: t, keys: read[documents](t, "jwks.json"), answer: "a"}, &at, nil)
		for range 2 {
			claims, err := v.Verify(t.Context(), f.good("a", "j", now))
			require.NoError(t, err)
			require.Equal(t, []string{audience}, claims.Audience)
			claims.Audience[0] = "changed"
		}
	})
}
