package main

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/bench/result"
)

// seen is what a server was asked.
type seen struct {
	mu             sync.Mutex
	authorizations map[string]int
	forms          map[string]int
	conditions     map[string]int
	status         int
}

func newSeen() *seen {
	return &seen{authorizations: map[string]int{}, forms: map[string]int{}, conditions: map[string]int{}, status: http.StatusOK}
}

func (s *seen) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := new(bytes.Buffer)
	_, _ = body.ReadFrom(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.authorizations[r.Header.Get("Authorization")]++
	s.forms[body.String()]++
	s.conditions[r.Header.Get("If-None-Match")]++
	w.Header().Set("ETag", `"v1"`)
	if r.Header.Get("If-None-Match") == `"v1"` {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.WriteHeader(s.status)
}

func call(t *testing.T, stdin string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	status = run(t.Context(), args, strings.NewReader(stdin), &out, &errs)
	return status, out.String(), errs.String()
}

func short(args ...string) []string { return append(args, "-duration", "30ms", "-warm-up", "0") }

func TestWhatTheServerIsAsked(t *testing.T) {
	s := newSeen()
	server := httptest.NewServer(s)
	defer server.Close()

	status, out, errs := call(t, "one:a/b\n# no client\n\ntwo:c\n", short("token", "-url", server.URL+"/token", "-clients", "-", "-scope", "notes:read", "-connections", "2")...)
	require.Equal(t, succeeded, status, errs)
	require.Contains(t, out, "p99")
	basic := func(pair string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(pair)) }
	require.Positive(t, s.authorizations[basic("one:a%2Fb")])
	require.Positive(t, s.authorizations[basic("two:c")])
	require.Len(t, s.authorizations, 2)
	require.Contains(t, s.forms, "grant_type=client_credentials&scope=notes%3Aread")

	status, _, errs = call(t, "", short("token", "-url", server.URL, "-client", "three:d", "-auth", "post")...)
	require.Equal(t, succeeded, status, errs)
	require.Contains(t, s.forms, "grant_type=client_credentials&client_id=three&client_secret=d")

	tokens := filepath.Join(t.TempDir(), "tokens")
	require.NoError(t, os.WriteFile(tokens, []byte("t1\nt2\n"), 0o600))
	status, _, errs = call(t, "", short("introspect", "-url", server.URL, "-tokens", tokens, "-bearer", "caller")...)
	require.Equal(t, succeeded, status, errs)
	require.Positive(t, s.authorizations["Bearer caller"])
	require.Positive(t, s.forms["token=t1"])
	require.Positive(t, s.forms["token=t2"])

	status, _, errs = call(t, "", short("get", "-url", server.URL, "-tokens", tokens, "-rate", "500")...)
	require.Equal(t, succeeded, status, errs)
	require.Positive(t, s.authorizations["Bearer t1"])
	require.Positive(t, s.authorizations["Bearer t2"])
}

func TestAKeySetIsAskedForWithItsETag(t *testing.T) {
	s := newSeen()
	server := httptest.NewServer(s)
	defer server.Close()
	status, _, errs := call(t, "", short("jwks", "-url", server.URL)...)
	require.Equal(t, succeeded, status, errs)
	require.Equal(t, 1, s.conditions[""]) // the first
	require.Positive(t, s.conditions[`"v1"`])

	status, _, errs = call(t, "", short("jwks", "-url", server.URL, "-etag=false")...)
	require.Equal(t, succeeded, status, errs)
	require.Greater(t, s.conditions[""], 2)
}

func TestTheResultIsAFile(t *testing.T) {
	server := httptest.NewServer(newSeen())
	defer server.Close()
	status, out, errs := call(t, "", short("get", "-url", server.URL, "-rounds", "2", "-json")...)
	require.Equal(t, succeeded, status, errs)
	f, err := result.Read(strings.NewReader(out))
	require.NoError(t, err)
	require.Len(t, f.Rows, 1)
	require.Len(t, f.Rows[0].Rounds, 2)
	require.NotEmpty(t, f.Rows[0].Histogram)
	require.Positive(t, f.Rows[0].Rounds[0][result.PerSecond])
}

func TestTLS(t *testing.T) {
	server := httptest.NewTLSServer(newSeen())
	defer server.Close()
	status, _, errs := call(t, "", short("get", "-url", server.URL)...)
	require.Equal(t, failed, status)
	require.Contains(t, errs, "the first request failed")
	require.Contains(t, errs, "certificate")
	status, _, errs = call(t, "", short("get", "-url", server.URL, "-insecure")...)
	require.Equal(t, succeeded, status, errs)
}

func TestErrorsAreClearAndDecideTheStatus(t *testing.T) {
	refusing := newSeen()
	refusing.status = http.StatusUnauthorized
	server := httptest.NewServer(refusing)
	defer server.Close()
	for _, c := range []struct {
		args   []string
		status int
		says   string
	}{
		{nil, misused, "Measures a server over HTTP"},
		{[]string{"dance"}, misused, `there is no command "dance"`},
		{[]string{"get"}, misused, "-url must be an absolute"},
		{[]string{"get", "-url", "ftp://x"}, misused, "-url must be an absolute"},
		{[]string{"get", "-url", server.URL, "extra"}, misused, `what is "extra"?`},
		{[]string{"get", "-url", server.URL, "-connections", "0"}, misused, "at least 1"},
		{[]string{"get", "-url", server.URL, "-nothing"}, misused, "-nothing"},
		{[]string{"get", "-url", server.URL, "-token", "a", "-tokens", "b"}, misused, "not both"},
		{[]string{"token", "-url", server.URL}, misused, "-client or -clients is missing"},
		{[]string{"token", "-url", server.URL, "-client", "no-colon-hush"}, misused, "client 1 is not of the form id:secret"},
		{[]string{"token", "-url", server.URL, "-client", "a:b", "-auth", "magic"}, misused, "basic or post"},
		{[]string{"token", "-url", server.URL, "-clients", "/does/not/exist"}, misused, "no such file"},
		{[]string{"introspect", "-url", server.URL, "-token", "x"}, misused, "-client or -bearer"},
		{[]string{"introspect", "-url", server.URL, "-bearer", "x"}, misused, "-token or -tokens is missing"},
		{[]string{"get", "-url", server.URL}, failed, "the first request failed: status 401"},
		{[]string{"get", "-url", "http://127.0.0.1:1"}, failed, "refused"},
		{[]string{"get", "-help"}, succeeded, ""},
		{[]string{"--help"}, succeeded, ""},
	} {
		status, out, errs := call(t, "", c.args...)
		require.Equal(t, c.status, status, "%v: %s", c.args, errs)
		require.Contains(t, errs, c.says)
		require.NotContains(t, out+errs, "hush")
	}
}

func TestTooManyErrorsAreAFailure(t *testing.T) {
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked++; asked > 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()
	args := short("get", "-url", server.URL, "-connections", "1")
	status, _, errs := call(t, "", args...)
	require.Equal(t, failed, status)
	require.Contains(t, errs, "requests failed")
	require.Contains(t, errs, "status 503")
	asked = 0
	status, _, errs = call(t, "", append(args, "-max-errors", "1")...)
	require.Equal(t, succeeded, status, errs)
}
