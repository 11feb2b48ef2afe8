package proxy_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// A call that lasts ends with its permission, and says why.
func TestGRPCRevokedOnTheWay(t *testing.T) {
	url, echo, _ := newEcho(t)
	w, _ := newSecureWorld(t, "http://127.0.0.1:1")
	w.replace(over(url))
	conn := w.dialGRPC(t)
	live := tokens(t).good(t, map[string]any{"jti": "live"})
	for reason, fact := range map[string]struct {
		code     codes.Code
		withdraw func()
	}{
		"token_revoked":      {codes.Unauthenticated, func() { w.revoked.set(func(r *revocations) { r.jti["live"] = true }) }},
		"capability_missing": {codes.PermissionDenied, func() { w.decider.set(denying) }},
	} {
		stream := w.chat(t, asAgent(patient(t), live), conn)
		exchange(t, stream, "one")
		began := time.Now()
		fact.withdraw()
		var out wrapperspb.StringValue
		err := stream.RecvMsg(&out)
		t.Logf("ended after %s", time.Since(began))
		require.Equal(t, fact.code, status.Code(err), reason)
		require.Equal(t, []string{reason}, stream.Trailer().Get("x-agentidp-error"))
		require.Error(t, <-echo.over, "the service knows")
		waitFor(t, "its end is recorded", func() bool {
			return len(w.records.all()) > 0 && w.records.all()[len(w.records.all())-1].Reason == reason
		})
		w.metric(fmt.Sprintf(`sidecar_streams_terminated_total{reason=%q} 1`, reason))
		w.revoked.set(func(r *revocations) { delete(r.jti, "live") })
		w.decider.set(nil)
	}
}

// A service that goes in order is left in order: nothing that it did not take is
// lost. But for a call whose head the machine holds up, between the service's first
// goodbye and its last: its body was read, and cannot be sent to another.
func TestGRPCServersTakeTurns(t *testing.T) {
	persist(t, "nothing is lost", func() bool {
		first, _, leaving := newEcho(t)
		second, _, _ := newEcho(t)
		w, _ := newSecureWorld(t, "http://127.0.0.1:1")
		w.replace(over(first, second))
		conn := w.dialGRPC(t)
		good := tokens(t).good(t)
		var calls sync.WaitGroup
		failed := make(chan error, 200)
		for i := range 4 {
			calls.Go(func() {
				for n := range 50 {
					if i == 0 && n == 10 {
						leaving.GracefulStop()
					}
					var out wrapperspb.StringValue
					if err := conn.Invoke(asAgent(patient(t), good), "/test.Echo/Unary", wrapperspb.String("x"), &out); err != nil {
						failed <- err
					}
				}
			})
		}
		calls.Wait()
		close(failed)
		lost := len(failed)
		for err := range failed {
			require.Equal(t, codes.Unavailable, status.Code(err), err)
		}
		return lost == 0
	})
}

// Nobody there, and nobody who answers.
func TestGRPCFailures(t *testing.T) {
	w, _ := newSecureWorld(t, "http://127.0.0.1:1")
	w.replace(over(unreachable(t)))
	conn := w.dialGRPC(t)
	good := tokens(t).good(t)
	var out wrapperspb.StringValue
	require.Equal(t, codes.Unavailable, status.Code(conn.Invoke(asAgent(patient(t), good), "/test.Echo/Unary", wrapperspb.String("x"), &out)))
	url, echo, server := newEcho(t)
	w.replace(strings.Replace(over(url), "protocol: h2", "timeout: 200ms, protocol: h2", 1))
	persist(t, "a call that the service has ends there too", func() bool {
		var header, trailer metadata.MD // of trailers only: where they stand is the client's affair
		err := conn.Invoke(asAgent(patient(t), good), "/test.Echo/Unary", wrapperspb.String("wait"), &out, grpc.Header(&header), grpc.Trailer(&trailer))
		require.Equal(t, codes.DeadlineExceeded, status.Code(err))
		require.Equal(t, []string{"upstream_timeout"}, metadata.Join(header, trailer).Get("x-agentidp-error"))
		select {
		case err := <-echo.over:
			require.Error(t, err)
			return true
		default: // not yet, or its time was up before it came there
			return false
		}
	})

	w.replace(over(url))
	stream := w.chat(t, asAgent(patient(t), good), conn)
	exchange(t, stream, "one")
	server.Stop()
	err := stream.RecvMsg(&out)
	require.Equal(t, codes.Unavailable, status.Code(err))
	require.Equal(t, []string{"upstream_aborted"}, stream.Trailer().Get("x-agentidp-error"))
}

// Servers may refuse a call whose client does not say that it takes trailers.
func TestGRPCAsksForTrailers(t *testing.T) {
	w, client := newSecureWorld(t, "http://127.0.0.1:1")
	w.replace(over(h2cUpstream(t, mirror)))
	for kind, asks := range map[string]bool{"application/grpc": true, "application/json": false} {
		r := w.ask(client, "POST", "/notes", tokens(t).good(t), strings.NewReader("x"), "Content-Type", kind)
		require.Equal(t, asks, strings.Contains(r.body, "Te:[trailers]"), kind)
	}
}
