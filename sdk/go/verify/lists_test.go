package verify_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/sdk/go/verify"
)

// lists answers with the key set that it is given, and with lists signed by a key.
func lists(t *testing.T, f *forge, keySet, signer *string) *idp {
	t.Helper()
	keys := read[documents](t, "jwks.json")
	return &idp{answers: func(r *http.Request) *http.Response {
		if strings.HasSuffix(r.URL.Path, "jwks.json") {
			return respond(r, http.StatusOK, keys.body(t, *keySet))
		}
		header := with(f.header(*signer), "typ", `"statuslist+jwt"`)
		return respond(r, http.StatusOK, f.list(*signer, header, func(c string) string {
			c = with(with(c, "sub", `"`+issuer+r.URL.Path+`"`), "ttl", "15")
			return with(c, "exp", fmt.Sprint(time.Now().Unix()+900))
		}))
	}}
}

func place(list int, index int64) *verify.Claims {
	claims := &verify.Claims{}
	claims.Status.URI, claims.Status.Index = fmt.Sprintf("%s/statuslists/%d", issuer, list), index
	return claims
}

// took runs check, and says how long it waited in synthetic time.
func took(check func() error) (time.Duration, error) {
	began := time.Now()
	err := check()
	return time.Since(began), err
}

// together runs f n times at once.
func together(n int, f func(i int) error) []error {
	errs := make([]error, n)
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() { errs[i] = f(i) })
	}
	group.Wait()
	return errs
}

func TestAListThatCountsAnswersAtOnceWhileTheIssuerHangs(t *testing.T) {
	f, a := readForge(t), "a"
	bubble(t, func(t *testing.T) {
		away := lists(t, f, &a, &a)
		v := realTime(t, away)
		checker := verify.StatusLists()(v)
		ask := func(index int64) (time.Duration, string) {
			waited, err := took(func() error { return checker.Check(t.Context(), "", place(0, index)) })
			return waited, outcome(t, err)
		}
		_, said := ask(0)
		require.Equal(t, "accept", said)
		away.hang(true)
		for second := 15; second < 890; second++ { // someone asks all the time
			time.Sleep(time.Until(time.Unix(now+int64(second), 0)))
			waited, said := ask(int64(second % 2))
			require.Equal(t, []string{"accept", "token_revoked"}[second%2], said)
			require.Zero(t, waited, second)
		}
		require.LessOrEqual(t, len(away.paths()), 900/11, "each fetch that failed took ten seconds, the next began a second later")
		require.Equal(t, 1, away.most)
		time.Sleep(time.Until(time.Unix(now+901, 0)))
		_, said = ask(0)
		require.Equal(t, "revocations_stale", said, "expired")
	})
}

// One that nobody asked for in two of its lives is fetched first: what was revoked
// meanwhile is in no list at hand. A hang costs the first callers three seconds, no more.
func TestAListThatNobodyAskedForIsWaitedFor(t *testing.T) {
	f, a := readForge(t), "a"
	bubble(t, func(t *testing.T) {
		away := lists(t, f, &a, &a)
		v := realTime(t, away)
		checker := verify.StatusLists()(v)
		ask := func(ctx context.Context) time.Duration {
			waited, err := took(func() error { return checker.Check(ctx, "", place(0, 0)) })
			require.NoError(t, err)
			return waited
		}
		ask(t.Context())
		time.Sleep(29 * time.Second)
		slow := away.answers
		away.answers = func(r *http.Request) *http.Response {
			time.Sleep(time.Second)
			return slow(r)
		}
		require.Zero(t, ask(t.Context()), "within two lives")
		v.Settle()
		time.Sleep(30 * time.Second)
		require.Equal(t, time.Second, ask(t.Context()))
		time.Sleep(30 * time.Second)
		away.hang(true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		waited, err := took(func() error { return checker.Check(ctx, "", place(0, 0)) })
		require.Equal(t, time.Second, waited, "the caller's own time")
		require.Equal(t, "revocations_stale", outcome(t, err), "it says nothing of the issuer")
		require.Equal(t, 2*time.Second, ask(t.Context()), "until the fetch is three seconds old")
		require.Zero(t, ask(t.Context()))
		v.Settle()
		time.Sleep(14 * time.Second)
		require.Zero(t, ask(t.Context()), "it has failed a moment ago")
		v.Settle()
		time.Sleep(15 * time.Second)
		require.Equal(t, 3*time.Second, ask(t.Context()), "that says nothing any more")
	})
}

func TestFetchesOfListsAreBounded(t *testing.T) {
	f, a := readForge(t), "a"
	bubble(t, func(t *testing.T) {
		away := lists(t, f, &a, &a)
		away.hang(true)
		v := realTime(t, away)
		checker := verify.StatusLists()(v)
		for _, err := range together(2*1024, func(i int) error { return checker.Check(t.Context(), "", place(i/2, 0)) }) {
			require.Equal(t, "revocations_stale", outcome(t, err))
		}
		require.ErrorContains(t, checker.Check(t.Context(), "", place(1024, 0)), "too many status lists")
		v.Settle()
		require.Equal(t, 8, away.most)

		away.hang(false)
		time.Sleep(time.Second)
		require.NoError(t, checker.Check(t.Context(), "", place(1024, 0)), "another one goes")
		for _, err := range together(20, func(i int) error { return checker.Check(t.Context(), "", place(i, 0)) }) {
			require.NoError(t, err)
		}
	})
}

// The issuer has begun to sign with a key that is not in the key set at hand.
func TestAListSignedWithANewKeyFetchesTheKeySetOnce(t *testing.T) {
	f, keySet, signer := readForge(t), "a", "a"
	bubble(t, func(t *testing.T) {
		away := lists(t, f, &keySet, &signer)
		v := realTime(t, away)
		checker := verify.StatusLists()(v)
		require.NoError(t, checker.Check(t.Context(), "", place(0, 0)), "the first list fetches the first key set")
		require.ElementsMatch(t, []string{"/statuslists/0", "/.well-known/jwks.json"}, away.paths())
		time.Sleep(11 * time.Second)
		keySet, signer = "a and b", "b"
		away.hang(false)
		for _, err := range together(5, func(i int) error { return checker.Check(t.Context(), "", place(i+1, 1)) }) {
			require.Equal(t, "token_revoked", outcome(t, err))
		}
		require.Len(t, away.paths(), 6, "five lists, one key set")
		keySet, signer = "a", "c"
		away.hang(false)
		for range 9 {
			time.Sleep(time.Second)
			require.Error(t, checker.Check(t.Context(), "", place(9, 0)))
		}
		require.NotContains(t, away.paths(), "/.well-known/jwks.json", "not twice in ten seconds")
	})
}
