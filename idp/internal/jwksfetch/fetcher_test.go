package jwksfetch_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/clientauth"
	"github.com/sentryagent/agentidp/idp/internal/jwksfetch"
)

func TestFetchedOnceForItsTime(t *testing.T) {
	for _, fact := range []struct {
		control string
		ttl     time.Duration
	}{
		{"", 5 * time.Minute}, {"max-age=120", 2 * time.Minute}, {"public, Max-Age=\"120\"", 2 * time.Minute}, {"max-age=0", time.Minute}, {"max-age=-5", time.Minute},
		{"max-age=999999", time.Hour}, {"max-age=99999999999999999999", 5 * time.Minute}, {"no-store", time.Minute}, {"max-age=600, no-cache", time.Minute}, {"max-age=x", 5 * time.Minute},
	} {
		t.Run(fact.control, func(t *testing.T) {
			s := newSite(t, answer(document(2), "Cache-Control: "+fact.control, "Content-Type: application/jwk-set+json; charset=utf-8"))
			w := newWorld(t, s, nil)
			w.has(s.uri(), 2)
			w.forward(fact.ttl - time.Second)
			w.has(s.uri(), 2)
			require.Equal(t, int64(1), s.hits.Load())
			w.forward(time.Second)
			w.has(s.uri(), 2)
			require.Equal(t, int64(2), s.hits.Load())
			require.Equal(t, 2, w.count("ok"))
		})
	}
}

func TestRequestTellsNothing(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	t.Setenv("ALL_PROXY", "http://127.0.0.1:1")
	var seen http.Header
	body := document(1)
	s := newSite(t, nil)
	s.serve(func(w http.ResponseWriter, r *http.Request) {
		seen = r.Header.Clone()
		require.Equal(t, "HTTP/1.1", r.Proto)
		require.True(t, r.Close, "the connection does not outlive the answer")
		answer(body, "Set-Cookie: a=b", "Cache-Control: max-age=60")(w, r)
	})
	w := newWorld(t, s, nil)
	w.has(s.uri(), 1)
	w.forward(time.Minute)
	w.has(s.uri(), 1)
	require.Equal(t, http.Header{"Accept": {"application/jwk-set+json, application/json"}, "User-Agent": {"agentidp"}, "Connection": {"close"}}, seen)
}

// A rotation: publish, then sign. The kid that is not known is asked for once.
func TestUnknownKeysAreLookedForOnceInACooldown(t *testing.T) {
	s := newSite(t, answer(document(1)))
	w := newWorld(t, s, nil)
	w.has(s.uri(), 1)
	s.serve(answer(document(2)))
	set, err := w.keys(s.uri(), 2)
	require.NoError(t, err)
	require.Equal(t, 1, set.Len(), "it was fetched a moment ago")
	w.forward(30 * time.Second)
	w.has(s.uri(), 2)
	require.Equal(t, int64(2), s.hits.Load())
	for range 300 {
		set, err := w.keys(s.uri(), 99)
		require.NoError(t, err)
		require.Equal(t, 2, set.Len())
	}
	require.Equal(t, int64(2), s.hits.Load())
}

func TestFailureIsRemembered(t *testing.T) {
	s := newSite(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	w := newWorld(t, s, nil)
	w.unavailable(s.uri(), "status")
	for range 100 {
		_, err := w.keys(s.uri(), 1)
		require.ErrorIs(t, err, jwksfetch.ErrUnavailable)
	}
	require.Equal(t, int64(1), s.hits.Load())
	s.serve(answer(document(1)))
	w.forward(30 * time.Second)
	w.has(s.uri(), 1)
}

func TestOldKeysServeWhileTheSiteIsAway(t *testing.T) {
	s := newSite(t, answer(document(1)))
	w := newWorld(t, s, nil)
	w.has(s.uri(), 1)
	s.serve(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	w.forward(5 * time.Minute)
	w.has(s.uri(), 1)
	require.Equal(t, 1, w.count("status"))
	_, err := w.keys(s.uri(), 2)
	require.ErrorIs(t, err, jwksfetch.ErrUnavailable, "what cannot be fetched may hold the key: nobody is wrong")
	w.forward(24*time.Hour - 5*time.Minute - time.Second)
	w.has(s.uri(), 1)
	w.forward(time.Second)
	_, err = w.keys(s.uri(), 1)
	require.ErrorIs(t, err, jwksfetch.ErrUnavailable, "a day is the end")
	s.serve(answer(document(3)))
	w.forward(30 * time.Second)
	w.has(s.uri(), 3)
}

// Keys that the site has taken back are gone at the next fetch: only a site that
// cannot be asked has its old ones go on.
func TestKeysThatWereTakenBack(t *testing.T) {
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	for name, fact := range map[string]struct {
		result  string
		handler http.HandlerFunc
	}{
		"404": {"gone", status(http.StatusNotFound)}, "410": {"gone", status(http.StatusGone)},
		"an empty set":           {"ok", answer([]byte(`{"keys":[]}`))},
		"no key that can verify": {"ok", answer([]byte(`{"keys":[{"kty":"oct","k":"AAAA"}]}`))},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, answer(document(1)))
			w := newWorld(t, s, nil)
			w.has(s.uri(), 1)
			s.serve(fact.handler)
			w.forward(5 * time.Minute)
			before := w.count(fact.result)
			set, err := w.keys(s.uri(), 1)
			require.NoError(t, err, "that there is none is an answer")
			require.Zero(t, set.Len())
			require.Equal(t, before+1, w.count(fact.result))

			s.serve(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
			w.forward(30 * time.Second)
			_, err = w.keys(s.uri(), 1)
			require.ErrorIs(t, err, jwksfetch.ErrUnavailable, "the old ones do not come back")
			s.serve(answer(document(2)))
			w.forward(30 * time.Second)
			w.has(s.uri(), 2)

			w = newWorld(t, s, nil)
			s.serve(fact.handler)
			set, err = w.keys(s.uri(), 1)
			require.NoError(t, err, "nor were there ever any")
			require.Zero(t, set.Len())
		})
	}
}

// What one address had says nothing of another, nor one organization's copy to another.
func TestKeysOfAnotherSetting(t *testing.T) {
	s := newSite(t, answer(document(1)))
	w := newWorld(t, s, nil)
	w.has(s.uri(), 1)
	s.serve(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	_, err := w.keys(s.uri()+"?moved", 1)
	require.ErrorIs(t, err, jwksfetch.ErrUnavailable)
	_, err = w.keysFor("theirs", s.uri(), 1)
	require.ErrorIs(t, err, jwksfetch.ErrUnavailable)
	w.has(s.uri(), 1)
}

// An organization whose addresses do not answer waits alone.
func TestSlowAddressesHoldUpTheirOrganizationAlone(t *testing.T) {
	held, body := make(chan struct{}), document(1)
	release := sync.OnceFunc(func() { close(held) })
	var hits atomic.Int64
	listener, err := net.Listen("tcp", "0.0.0.0:0")
	require.NoError(t, err)
	server := &httptest.Server{Listener: listener, Config: &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		if r.URL.Path == "/slow" {
			<-held
		}
		answer(body)(w, r)
	})}}
	server.Start()
	t.Cleanup(server.Close)
	t.Cleanup(release)
	w := newWorld(t, nil, func(o *jwksfetch.Options) { o.AllowHTTP = true })
	uri := func(host int, path string) string {
		return fmt.Sprintf("http://127.0.0.%d:%d%s", host, listener.Addr().(*net.TCPAddr).Port, path)
	}
	var all sync.WaitGroup
	for i := range 90 {
		all.Go(func() { _, _ = w.keysFor("theirs", uri(2+i, "/slow"), 1) })
	}
	require.Eventually(t, func() bool { return hits.Load() == 4 && w.count("busy") == 90-4-64 }, time.Minute, time.Millisecond)
	w.has(uri(200, "/fast"), 1)
	require.Equal(t, int64(5), hits.Load(), "four at once of the others, and ours")
	release()
	w.f.Close()
	all.Wait()
}

// One slow fetch answers everybody; who leaves does not end it.
func TestOneFetchForAllWhoWait(t *testing.T) {
	release, body := make(chan struct{}), document(1)
	s := newSite(t, nil)
	s.serve(func(w http.ResponseWriter, r *http.Request) { <-release; answer(body)(w, r) })
	w := newWorld(t, s, nil)
	impatient, leave := context.WithCancel(context.Background())
	gone := make(chan error, 1)
	go func() {
		_, err := w.f.Keys(impatient, at(s.uri()), func(*clientauth.KeySet) bool { return true })
		gone <- err
	}()
	require.Eventually(t, func() bool { return s.hits.Load() == 1 }, time.Minute, time.Millisecond)
	leave()
	err := <-gone
	require.ErrorIs(t, err, jwksfetch.ErrUnavailable)
	require.ErrorIs(t, err, context.Canceled)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			set, err := w.keys(s.uri(), 1)
			if err != nil || set.Len() != 1 {
				panic(fmt.Sprint("not answered: ", err))
			}
		})
	}
	close(release)
	all.Wait()
	require.Equal(t, int64(1), s.hits.Load())
}

// One address at a time from one host: many agents there do not make a flood.
func TestOneFetchAtATimeFromAHost(t *testing.T) {
	var at, most atomic.Int64
	body := document(1)
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		now := at.Add(1)
		for seen := most.Load(); now > seen && !most.CompareAndSwap(seen, now); seen = most.Load() {
			runtime.Gosched()
		}
		answer(body)(w, r)
		at.Add(-1)
	})
	w := newWorld(t, s, nil)
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			if _, err := w.keys(fmt.Sprintf("%s?agent=%d", s.uri(), i), 1); err != nil {
				panic(err)
			}
		})
	}
	all.Wait()
	require.Equal(t, int64(20), s.hits.Load())
	require.Equal(t, int64(1), most.Load())
}

func TestLineOfAHostIsBounded(t *testing.T) {
	release := make(chan struct{})
	s := newSite(t, func(http.ResponseWriter, *http.Request) { <-release })
	w := newWorld(t, s, nil)
	var all sync.WaitGroup
	for i := range 80 {
		all.Go(func() { _, _ = w.keys(fmt.Sprintf("%s?agent=%d", s.uri(), i), 1) })
	}
	require.Eventually(t, func() bool { return w.count("busy") == 80-65 }, time.Minute, time.Millisecond)
	close(release)
	w.f.Close()
	all.Wait()
}

func TestCacheIsBounded(t *testing.T) {
	s := newSite(t, answer(document(1)))
	w := newWorld(t, s, nil)
	w.has(s.uri(), 1)
	for i := range 4096 {
		w.forward(time.Second)
		_, err := w.keys(fmt.Sprintf("http://not-fetched.example/%d", i), 1) // refused before any connection
		require.ErrorIs(t, err, jwksfetch.ErrUnavailable)
	}
	require.Equal(t, int64(1), s.hits.Load())
	w.has(s.uri(), 1)
	require.Equal(t, int64(2), s.hits.Load(), "the one that was longest not used had to go")
}

func TestAnswersThatAreNoKeySet(t *testing.T) {
	good := document(1)
	for name, fact := range map[string]struct {
		result  string
		handler http.HandlerFunc
	}{
		"junk":            {"content", answer([]byte("junk"))},
		"empty":           {"content", answer(nil)},
		"an error page":   {"content", answer(good, "Content-Type: text/html")},
		"no media type":   {"content", answer(good, "Content-Type: ")},
		"compressed":      {"content", answer(good, "Content-Encoding: gzip")},
		"no key set":      {"content", answer([]byte(`{"keys":{}}`))},
		"forbidden":       {"status", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }},
		"created":         {"status", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusCreated); answer(good)(w, r) }},
		"a byte too long": {"content", answer(append(bytes.Repeat([]byte(" "), 64<<10+1-len(good)), good...))},
		"huge headers":    {"unreachable", answer(good, "X-Fill: "+strings.Repeat("x", 32<<10))},
		"cut off": {"unreachable", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write(good)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, fact.handler)
			w := newWorld(t, s, nil)
			w.unavailable(s.uri(), fact.result)
		})
	}
	s := newSite(t, answer(append(bytes.Repeat([]byte(" "), 64<<10-len(good)), good...)))
	newWorld(t, s, nil).has(s.uri(), 1)
}

// What is too long is left where it is.
func TestHugeAnswerIsNotRead(t *testing.T) {
	ended := make(chan bool, 1)
	s := newSite(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		block := bytes.Repeat([]byte(" "), 1<<20)
		for range 32 {
			if _, err := w.Write(block); err != nil {
				ended <- true
				return
			}
		}
		ended <- false
	})
	newWorld(t, s, nil).unavailable(s.uri(), "content")
	require.True(t, <-ended, "the connection was cut before all 32 MiB were sent")
}

func TestSlowDripEnds(t *testing.T) {
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for r.Context().Err() == nil {
			_, _ = w.Write([]byte(" "))
			_ = http.NewResponseController(w).Flush()
			select {
			case <-r.Context().Done():
			case <-time.After(50 * time.Millisecond):
			}
		}
	})
	w := newWorld(t, s, func(o *jwksfetch.Options) { o.SetTimes(0, 0) })
	started := time.Now()
	w.unavailable(s.uri(), "timeout")
	require.GreaterOrEqual(t, time.Since(started), 3*time.Second)
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	canary := newSite(t, answer(document(1)))
	for _, status := range []int{301, 302, 303, 307, 308} {
		s := newSite(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, canary.uri(), status) })
		newWorld(t, s, nil).unavailable(s.uri(), "status")
	}
	require.Zero(t, canary.hits.Load())
}

func TestCertificateIsChecked(t *testing.T) {
	s := newSite(t, answer(document(1)))
	newWorld(t, nil, nil).unavailable(s.uri(), "unreachable")
	resolver, _ := nameserver(t, "127.0.0.1")
	w := newWorld(t, s, func(o *jwksfetch.Options) { o.Resolver = resolver })
	w.unavailable(s.uriAt("another.test"), "unreachable")
	w.has(s.uriAt("example.com"), 1)
	require.Equal(t, int64(1), s.hits.Load())
}

func TestPlainHTTPForDevelopment(t *testing.T) {
	server := httptest.NewServer(answer(document(1)))
	t.Cleanup(server.Close)
	newWorld(t, nil, nil).unavailable(server.URL, "refused_address")
	newWorld(t, nil, func(o *jwksfetch.Options) { o.AllowHTTP, o.Allow = true, nil }).unavailable(server.URL, "refused_address")
	newWorld(t, nil, func(o *jwksfetch.Options) { o.AllowHTTP = true }).has(server.URL, 1)
}

func TestCloseEndsWhatIsUnderWay(t *testing.T) {
	s := newSite(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	w := newWorld(t, s, nil)
	ended := make(chan error, 1)
	go func() {
		_, err := w.keys(s.uri(), 1)
		ended <- err
	}()
	require.Eventually(t, func() bool { return s.hits.Load() == 1 }, time.Minute, time.Millisecond)
	w.f.Close()
	require.ErrorIs(t, <-ended, jwksfetch.ErrUnavailable)
	_, err := w.keys(s.uri()+"2", 1)
	require.ErrorIs(t, err, jwksfetch.ErrUnavailable)
}
