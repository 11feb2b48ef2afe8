package modes_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/sentryagent/agentidp/sidecar/internal/extauthz"
	"github.com/sentryagent/agentidp/sidecar/internal/proxy"
)

func (s *scene) extAuthz() (address string) {
	server, err := extauthz.New(extauthz.Options{Ask: s.proxy.Ask, Peers: local})
	require.NoError(s.t, err)
	return listen(s.t, server.Serve)
}

func asEnvoy(s *scene) func(*testing.T, request) answer        { return s.checking(rawFields) }
func asJoiningEnvoy(s *scene) func(*testing.T, request) answer { return s.checking(joinedFields) }

// rawFields tells the client's fields as Envoy does with encode_raw_headers.
func rawFields(r *auth.AttributeContext_HttpRequest, fields [][2]string) {
	r.HeaderMap = &core.HeaderMap{}
	for _, field := range fields {
		r.HeaderMap.Headers = append(r.HeaderMap.Headers, &core.HeaderValue{Key: field[0], RawValue: []byte(field[1])})
	}
}

// joinedFields tells them as Envoy does without.
func joinedFields(r *auth.AttributeContext_HttpRequest, fields [][2]string) {
	r.Headers = map[string]string{}
	for _, field := range fields {
		if before, repeated := r.Headers[field[0]]; repeated {
			field[1] = before + "," + field[1]
		}
		r.Headers[field[0]] = field[1]
	}
}

// checking calls the service as Envoy would, and does to the request what Envoy
// does with the answer.
func (s *scene) checking(encode func(*auth.AttributeContext_HttpRequest, [][2]string)) func(*testing.T, request) answer {
	conn, err := grpc.NewClient("passthrough:///"+s.extAuthz(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(s.t, err)
	s.t.Cleanup(func() { _ = conn.Close() })
	client := auth.NewAuthorizationClient(conn)
	return func(t *testing.T, r request) answer {
		method, target, own := r.head()
		var host string
		var fields [][2]string
		for _, field := range own {
			name := strings.ToLower(field[0])
			switch name {
			case "host":
				host = field[1]
			case "connection": // Envoy's own affair
			default:
				fields = append(fields, [2]string{name, field[1]})
			}
		}
		held := &auth.AttributeContext_HttpRequest{Method: method, Path: target, Host: host, Scheme: "http", Protocol: "HTTP/1.1"}
		encode(held, append([][2]string{{":method", method}, {":path", target}, {":authority", host}, {":scheme", "http"}}, fields...))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		out, err := client.Check(ctx, &auth.CheckRequest{Attributes: &auth.AttributeContext{
			Source:  &auth.AttributeContext_Peer{Address: &core.Address{Address: &core.Address_SocketAddress{SocketAddress: &core.SocketAddress{Address: "127.0.0.1"}}}},
			Request: &auth.AttributeContext_Request{Http: held},
		}})
		require.NoError(t, err)
		a := answer{decisionID: out.DynamicMetadata.Fields["decision_id"].GetStringValue()}
		if denied := out.GetDeniedResponse(); denied != nil {
			require.NotEqual(t, int32(codes.OK), out.Status.Code)
			require.Equal(t, decisionOf(denied.Body), a.decisionID)
			a.status, a.reason = int(denied.Status.Code), mutate(http.Header{}, denied.Headers, nil).Get(proxy.ErrorHeader)
			return a
		}
		require.Equal(t, int32(codes.OK), out.Status.Code)
		header := http.Header{}
		for _, field := range fields {
			header.Add(field[0], field[1])
		}
		a.allowed, a.status = true, http.StatusOK
		a.arrived = &arrival{method, target, host, mutate(header, out.GetOkResponse().Headers, out.GetOkResponse().HeadersToRemove)}
		require.Equal(t, a.decisionID, a.arrived.Header.Get(proxy.DecisionHeader))
		return a
	}
}

// mutate does as Envoy does, in its order.
func mutate(header http.Header, set []*core.HeaderValueOption, remove []string) http.Header {
	for _, option := range set {
		header.Set(option.Header.Key, option.Header.Value)
	}
	for _, name := range remove {
		header.Del(name)
	}
	return header
}
