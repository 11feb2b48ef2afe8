package extauthz

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/sentryagent/agentidp/shared/httpx/tlstest"
	"github.com/sentryagent/agentidp/shared/obs/obstest"
	"github.com/sentryagent/agentidp/sidecar/internal/proxy"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1")) // linked by the proxy package; never ends
}

// serving is a Server on a port of its own.
type serving struct {
	t       *testing.T
	addr    string
	metrics *metrics.Set
	logs    *obstest.Output
	ended   chan error
	cancel  context.CancelFunc
}

func serve(t *testing.T, ask func(proxy.Question) proxy.Verdict, change ...func(*Options)) *serving {
	t.Helper()
	s := &serving{t: t, metrics: metrics.NewSet(), logs: &obstest.Output{}, ended: make(chan error, 1)}
	o := Options{Ask: ask, Peers: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Log: slog.New(slog.NewJSONHandler(s.logs, nil)), Metrics: s.metrics}
	for _, c := range change {
		c(&o)
	}
	server, err := New(o)
	require.NoError(t, err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s.addr = ln.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	var running sync.WaitGroup
	running.Go(func() { s.ended <- server.Serve(ctx, ln) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return s
}

// client calls it. The deadline is the test's patience.
func (s *serving) client(creds credentials.TransportCredentials) (auth.AuthorizationClient, context.Context) {
	s.t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+s.addr, grpc.WithTransportCredentials(creds))
	require.NoError(s.t, err)
	s.t.Cleanup(func() { _ = conn.Close() })
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	s.t.Cleanup(cancel)
	return auth.NewAuthorizationClient(conn), ctx
}

func (s *serving) page() string {
	var b strings.Builder
	s.metrics.WritePrometheus(&b)
	return b.String()
}

func refused() proxy.Verdict {
	return proxy.Verdict{
		Status: 401, Reason: "token_missing", DecisionID: "id-1", Body: []byte(`{"code":"UNAUTHENTICATED"}`),
		Fields: [][2]string{{"Content-Type", "application/json"}, {"WWW-Authenticate", "Bearer"}},
	}
}

func TestCallsAreAnswered(t *testing.T) {
	questions := make(chan proxy.Question, 1)
	s := serve(t, func(q proxy.Question) proxy.Verdict { questions <- q; return refused() })
	client, ctx := s.client(insecure.NewCredentials())
	out, err := client.Check(ctx, held())
	require.NoError(t, err)
	require.Equal(t, int32(codes.Unauthenticated), out.Status.Code)
	require.Equal(t, 401, int(out.GetDeniedResponse().Status.Code))
	require.Equal(t, "/notes?x=1", string((<-questions).Request.Target))
	require.Contains(t, s.page(), "sidecar_asked_total{mode=\"ext_authz\",allowed=\"false\"} 1\n")
	require.Contains(t, s.page(), "sidecar_ext_authz_connections 1\n")
	s.cancel()
	require.NoError(t, <-s.ended)
	require.Contains(t, s.page(), "sidecar_ext_authz_connections 0\n")
}

func TestCallsOverTLS(t *testing.T) {
	authority := tlstest.NewAuthority(t)
	s := serve(t, func(proxy.Question) proxy.Verdict { return refused() }, func(o *Options) {
		o.TLS = &tls.Config{Certificates: []tls.Certificate{authority.Pair()}, NextProtos: []string{"http/1.1"}} // as the data port has it
	})
	client, ctx := s.client(credentials.NewTLS(&tls.Config{RootCAs: authority.Pool}))
	_, err := client.Check(ctx, held())
	require.NoError(t, err)
	client, ctx = s.client(insecure.NewCredentials())
	_, err = client.Check(ctx, held())
	require.Equal(t, codes.Unavailable, status.Code(err))
}

func TestAPanicIsADenial(t *testing.T) {
	s := serve(t, func(proxy.Question) proxy.Verdict { panic("oops") })
	client, ctx := s.client(insecure.NewCredentials())
	out, err := client.Check(ctx, held())
	require.NoError(t, err, "an error would pass where failure_mode_allow is set")
	require.Equal(t, int32(codes.PermissionDenied), out.Status.Code)
	require.Equal(t, 500, int(out.GetDeniedResponse().Status.Code))
	require.Contains(t, out.GetDeniedResponse().Body, `"reason":"internal"`)
	require.Contains(t, s.page(), `sidecar_questions_rejected_total{mode="ext_authz",reason="internal"} 1`)
	require.Contains(t, s.logs.String(), "oops")
}

func TestStrangersAreNotHeard(t *testing.T) {
	s := serve(t, unasked, func(o *Options) { o.Peers = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} })
	conn, err := net.Dial("tcp", s.addr)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	_, err = conn.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	client, ctx := s.client(insecure.NewCredentials())
	_, err = client.Check(ctx, held())
	require.Equal(t, codes.Unavailable, status.Code(err))
	require.Contains(t, s.page(), `sidecar_questions_rejected_total{mode="ext_authz",reason="peer_not_trusted"}`)
	require.NotContains(t, s.page(), `reason="peer_not_trusted"} 0`)
}

func unasked(proxy.Question) proxy.Verdict { panic("nobody may ask") }

func TestMessagesAreBounded(t *testing.T) {
	s := serve(t, func(proxy.Question) proxy.Verdict { return refused() })
	client, ctx := s.client(insecure.NewCredentials())
	_, err := client.Check(ctx, held(func(r *auth.AttributeContext_HttpRequest) { r.Body = strings.Repeat("x", maxMessage) }))
	require.Equal(t, codes.ResourceExhausted, status.Code(err))
	_, err = client.Check(ctx, held(func(r *auth.AttributeContext_HttpRequest) { r.Body = strings.Repeat("x", 64<<10) }))
	require.NoError(t, err)
}

func TestNobodyIsJudgedWhomNobodyWaitsFor(t *testing.T) {
	server, err := New(Options{Ask: unasked, Peers: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}})
	require.NoError(t, err)
	ctx, cancel := context.WithDeadline(context.Background(), time.Now().Add(-time.Second))
	defer cancel()
	_, err = server.Check(ctx, held())
	require.Equal(t, codes.DeadlineExceeded, status.Code(err))
	require.Equal(t, uint64(1), server.meters.late.Get())
}

func TestCallsUnderWayFinish(t *testing.T) {
	for _, fact := range []struct {
		name  string
		drain time.Duration
		cut   bool
	}{{"in time", time.Minute, false}, {"too late", time.Millisecond, true}} {
		t.Run(fact.name, func(t *testing.T) {
			asked, answer := make(chan struct{}), make(chan struct{})
			s := serve(t, func(proxy.Question) proxy.Verdict { close(asked); <-answer; return refused() }, func(o *Options) { o.Drain = fact.drain })
			client, ctx := s.client(insecure.NewCredentials())
			called := make(chan error, 1)
			go func() { _, err := client.Check(ctx, held()); called <- err }()
			<-asked
			s.cancel()
			if fact.cut {
				require.Equal(t, codes.Unavailable, status.Code(<-called))
			}
			close(answer)
			err := <-s.ended
			if fact.cut {
				require.ErrorIs(t, err, ErrCut)
				return
			}
			require.NoError(t, <-called)
			require.NoError(t, err)
		})
	}
}

func TestOptionsAreChecked(t *testing.T) {
	peers := []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	_, err := New(Options{Peers: peers})
	require.ErrorContains(t, err, "Ask")
	_, err = New(Options{Ask: unasked})
	require.ErrorContains(t, err, "Peers")
	server, err := New(Options{Ask: unasked, Peers: peers})
	require.NoError(t, err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, ln.Close())
	require.Error(t, server.Serve(context.Background(), ln), "of the listener")

	server, err = New(Options{Ask: unasked, Peers: peers})
	require.NoError(t, err)
	ln, err = net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	require.NoError(t, server.Serve(ended, ln), "told to end before it began")
}
