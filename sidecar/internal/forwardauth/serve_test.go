package forwardauth_test

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/httpx"
	"github.com/sentryagent/agentidp/shared/httpx/tlstest"
	"github.com/sentryagent/agentidp/sidecar/internal/forwardauth"
)

// A question in flight is answered when Serve is to end; one that takes too long is cut.
func TestDrain(t *testing.T) {
	for _, patient := range []bool{true, false} {
		s := newStage(t, func(o *forwardauth.Options) {
			if !patient {
				o.Drain = 50 * time.Millisecond
			}
		})
		s.hold = make(chan struct{})
		answered := make(chan int, 1)
		go func() {
			answer, err := http.DefaultTransport.RoundTrip(asks(t, s.addr))
			if err != nil {
				answered <- 0
				return
			}
			_ = answer.Body.Close()
			answered <- answer.StatusCode
		}()
		require.Eventually(t, func() bool { return len(s.all()) == 1 }, time.Minute, time.Millisecond)
		ended := make(chan error, 1)
		go func() { ended <- s.stop() }()
		if patient {
			close(s.hold)
			require.Equal(t, 200, <-answered)
			require.NoError(t, <-ended)
		} else {
			require.Equal(t, 0, <-answered)
			close(s.hold)
			require.ErrorIs(t, <-ended, httpx.ErrCut)
		}
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

func asks(t *testing.T, addr string) *http.Request {
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+addr+"/auth/forwarded", nil)
	require.NoError(t, err)
	for _, field := range traefikTells("GET", "/notes") {
		name, value, _ := strings.Cut(field, ": ")
		request.Header.Set(name, value)
	}
	return request
}

func TestTLS(t *testing.T) {
	authority := tlstest.NewAuthority(t)
	s := newStage(t, func(o *forwardauth.Options) { o.TLS = &tls.Config{Certificates: []tls.Certificate{authority.Pair()}} })
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authority.Pool}}
	t.Cleanup(transport.CloseIdleConnections)
	request := asks(t, s.addr)
	request.URL.Scheme = "https"
	answer, err := transport.RoundTrip(request)
	require.NoError(t, err)
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	require.NoError(t, err)
	require.Equal(t, "agent-1", answer.Header.Get("X-Agent-Id"))
}
