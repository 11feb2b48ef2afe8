package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// echoServer is a gRPC service without generated code: each method takes and
// gives strings.
type echoServer struct {
	mu   sync.Mutex
	seen []metadata.MD
	over chan error // how streams ended, as the service saw it
}

func (e *echoServer) heard(ctx context.Context) {
	md, _ := metadata.FromIncomingContext(ctx)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.seen = append(e.seen, md)
}

func (e *echoServer) calls() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.seen)
}

func (e *echoServer) last() metadata.MD {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.seen[len(e.seen)-1]
}

func (e *echoServer) unary(ctx context.Context, in *wrapperspb.StringValue) (*wrapperspb.StringValue, error) {
	e.heard(ctx)
	switch in.GetValue() {
	case "fail":
		return nil, status.Error(codes.FailedPrecondition, "as asked: 100 % – ✓")
	case "wait":
		<-ctx.Done()
		e.over <- ctx.Err()
		return nil, ctx.Err()
	}
	_ = grpc.SetHeader(ctx, metadata.Pairs("x-head", "first", "x-agent-id", "forged", "data-bin", "\x00\xff"))
	_ = grpc.SetTrailer(ctx, metadata.Pairs("x-trail", "last", "x-agent-id", "forged", "set-cookie", "a=b"))
	return wrapperspb.String("echo " + in.GetValue()), nil
}

// chat echoes each message until the client has said all, then says how many there were.
func (e *echoServer) chat(stream grpc.ServerStream) error {
	e.heard(stream.Context())
	for n := 0; ; n++ {
		var in wrapperspb.StringValue
		err := stream.RecvMsg(&in)
		if errors.Is(err, io.EOF) {
			return stream.SendMsg(wrapperspb.String(fmt.Sprint(n)))
		}
		if err == nil {
			err = stream.SendMsg(wrapperspb.String("echo " + in.GetValue()))
		}
		if err != nil {
			e.over <- err
			return err
		}
	}
}

var echoService = grpc.ServiceDesc{
	ServiceName: "test.Echo",
	HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{{MethodName: "Unary", Handler: func(srv any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		in := &wrapperspb.StringValue{}
		if err := decode(in); err != nil {
			return nil, err
		}
		return srv.(*echoServer).unary(ctx, in)
	}}},
	Streams: []grpc.StreamDesc{{StreamName: "Chat", ServerStreams: true, ClientStreams: true, Handler: func(srv any, stream grpc.ServerStream) error {
		return srv.(*echoServer).chat(stream)
	}}},
}

func newEcho(t *testing.T, options ...grpc.ServerOption) (url string, e *echoServer, server *grpc.Server) {
	t.Helper()
	e = &echoServer{over: make(chan error, 16)}
	server = grpc.NewServer(options...)
	server.RegisterService(&echoService, e)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	t.Cleanup(func() { server.Stop(); require.NoError(t, <-served) })
	return "http://" + ln.Addr().String(), e, server
}

// dialGRPC is a gRPC client of the world.
func (w *world) dialGRPC(t *testing.T) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+w.addr, grpc.WithTransportCredentials(credentials.NewTLS(w.trust.Clone())))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func asAgent(ctx context.Context, token string, pairs ...string) context.Context {
	if token != "" {
		pairs = append(pairs, "authorization", "Bearer "+token)
	}
	return metadata.AppendToOutgoingContext(ctx, pairs...)
}

// expiring is a context whose time is up when done closes.
type expiring struct {
	context.Context
	done chan struct{}
}

func (e *expiring) Done() <-chan struct{} { return e.done }

func (e *expiring) Err() error {
	select {
	case <-e.done:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

func patient(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func TestGRPCUnary(t *testing.T) {
	url, echo, _ := newEcho(t)
	w, _ := newSecureWorld(t, "http://127.0.0.1:1")
	w.replace(over(url))
	conn := w.dialGRPC(t)
	good := tokens(t).good(t)
	call := func(method, token, text string) (string, metadata.MD, metadata.MD, error) {
		var header, trailer metadata.MD
		out := &wrapperspb.StringValue{}
		err := conn.Invoke(asAgent(patient(t), token, "x-agent-id", "me", "custom", "yes", "data-bin", "\x01\xfe"), method, wrapperspb.String(text), out, grpc.Header(&header), grpc.Trailer(&trailer))
		return out.GetValue(), header, trailer, err
	}
	out, header, trailer, err := call("/test.Echo/Unary", good, "hello")
	require.NoError(t, err)
	require.Equal(t, "echo hello", out)
	require.Equal(t, []string{"first"}, header.Get("x-head"))
	require.Equal(t, []string{"\x00\xff"}, header.Get("data-bin"))
	require.Equal(t, []string{"last"}, trailer.Get("x-trail"))
	require.NotEmpty(t, header.Get("x-request-id"))
	for _, md := range []metadata.MD{header, trailer} {
		require.Empty(t, md.Get("x-agent-id"))
		require.Empty(t, md.Get("set-cookie"))
	}
	seen := echo.last()
	require.Equal(t, []string{agentID}, seen.Get("x-agent-id"))
	require.Equal(t, []string{"yes"}, seen.Get("custom"))
	require.Equal(t, []string{"\x01\xfe"}, seen.Get("data-bin"))
	require.Empty(t, seen.Get("authorization"))
	require.Equal(t, []string{strings.TrimPrefix(url, "http://")}, seen.Get(":authority"))

	// The service's own errors are the service's.
	_, _, _, err = call("/test.Echo/Unary", good, "fail")
	require.Equal(t, codes.FailedPrecondition, status.Code(err), err)
	require.Equal(t, "as asked: 100 % – ✓", status.Convert(err).Message())
	_, _, _, err = call("/test.Echo/Nothing", good, "")
	require.Equal(t, codes.Unimplemented, status.Code(err))

	// Refusals are the sidecar's, in the client's terms.
	for _, fact := range []struct {
		method, token, reason string
		code                  codes.Code
	}{
		{"/test.Echo/Unary", "", "token_missing", codes.Unauthenticated},
		{"/test.Echo/Unary", "bad", "malformed", codes.Unauthenticated},
		{"/test.Secret/Unary", good, "capability_missing", codes.PermissionDenied},
		{"/test.Other/Unary", good, "no_route", codes.PermissionDenied},
	} {
		_, header, trailer, err := call(fact.method, fact.token, "x")
		require.Equal(t, fact.code, status.Code(err), fact)
		require.Equal(t, []string{fact.reason}, metadata.Join(header, trailer).Get("x-agentidp-error"), fact)
		require.NotEmpty(t, status.Convert(err).Message())
	}
	w.revoked.set(func(r *revocations) { r.stale = true })
	_, _, _, err = call("/test.Echo/Unary", good, "x")
	require.Equal(t, codes.Unavailable, status.Code(err))
	w.revoked.set(func(r *revocations) { r.stale = false })

	records := w.records.all()
	require.Equal(t, 200, records[0].Status)
	require.Equal(t, "/test.Echo/Unary", records[0].Path)
	require.Equal(t, "/test.Echo/**", records[0].RouteID)
	require.Equal(t, 403, records[5].Status)
}

func (w *world) chat(t *testing.T, ctx context.Context, conn *grpc.ClientConn) grpc.ClientStream {
	t.Helper()
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/test.Echo/Chat")
	require.NoError(t, err)
	return stream
}

func exchange(t *testing.T, stream grpc.ClientStream, text string) {
	t.Helper()
	require.NoError(t, stream.SendMsg(wrapperspb.String(text)))
	var out wrapperspb.StringValue
	require.NoError(t, stream.RecvMsg(&out))
	require.Equal(t, "echo "+text, out.GetValue())
}

func TestGRPCStreams(t *testing.T) {
	url, echo, _ := newEcho(t)
	w, _ := newSecureWorld(t, "http://127.0.0.1:1")
	w.replace(over(url))
	conn := w.dialGRPC(t)
	good := tokens(t).good(t)

	// Each message is answered before the next one is said.
	stream := w.chat(t, asAgent(patient(t), good), conn)
	for i := range 20 {
		exchange(t, stream, strings.Repeat("x", i*1000))
	}
	require.NoError(t, stream.CloseSend())
	var out wrapperspb.StringValue
	require.NoError(t, stream.RecvMsg(&out))
	require.Equal(t, "20", out.GetValue())
	require.ErrorIs(t, stream.RecvMsg(&out), io.EOF)

	// A client that leaves takes the work with it.
	ctx, leave := context.WithCancel(patient(t))
	stream = w.chat(t, asAgent(ctx, good), conn)
	exchange(t, stream, "one")
	leave()
	require.Equal(t, codes.Canceled, status.Code(<-echo.over))

	// So does one whose time is up; it is told so by itself.
	late := &expiring{Context: asAgent(patient(t), good), done: make(chan struct{})}
	heard := echo.calls()
	go func() {
		defer close(late.done)
		for echo.calls() == heard && late.Context.Err() == nil { // its time is up once the service has the call
			time.Sleep(time.Millisecond)
		}
	}()
	err := conn.Invoke(late, "/test.Echo/Unary", wrapperspb.String("wait"), &out)
	require.Equal(t, codes.DeadlineExceeded, status.Code(err))
	require.Error(t, <-echo.over)
	seen := echo.last()
	require.NotEmpty(t, seen.Get("x-agent-id"))
	waitFor(t, "all are recorded", func() bool { return len(w.records.all()) == 3 })
	w.metric("sidecar_http2_requests 0\n")
	w.metric("sidecar_streams_open 0\n")
}
