package modes_test

import (
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
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
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
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

// envoyProgram is a real Envoy; "" where there is none: Debian has no package.
func envoyProgram() string { return os.Getenv("AGENTIDP_ENVOY") }

func behindEnvoy(s *scene) func(*testing.T, request) answer { return s.through(s.envoy()) }

// envoy starts the example of deploy/envoy on a free port.
func (s *scene) envoy() (address string) {
	t := s.t
	content, err := os.ReadFile(filepath.Join("..", "..", "..", "deploy", "envoy", "envoy.yaml"))
	require.NoError(t, err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address = ln.Addr().String()
	require.NoError(t, ln.Close())
	var pairs []string
	for example, actual := range map[string]string{"8000": address, "8085": s.extAuthz(), "8090": s.api.Listener.Addr().String()} {
		_, port, err := net.SplitHostPort(actual)
		require.NoError(t, err)
		require.Equal(t, 1, strings.Count(string(content), "port_value: "+example))
		pairs = append(pairs, "port_value: "+example, "port_value: "+port)
	}
	config := filepath.Join(t.TempDir(), "envoy.yaml")
	require.NoError(t, os.WriteFile(config, []byte(strings.NewReplacer(pairs...).Replace(string(content))), 0o600))
	cmd := exec.Command(envoyProgram(), "-c", config, "--concurrency", "1", "--use-dynamic-base-id", "-l", "warning")
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	require.NoError(t, err)
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait() // how it ended shows in its log
		require.NoError(t, log.Close())
	})
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", address)
		return err == nil && conn.Close() == nil
	}, 10*time.Second, 20*time.Millisecond, "envoy never listened: %s", log.Name())
	return address
}

// What comes by HTTP/2 is judged as the request it is.
func TestEnvoyOverHTTP2(t *testing.T) {
	if envoyProgram() == "" {
		return // as above
	}
	w := newWorld(t)
	s := w.scene(t)
	address := s.envoy()
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	defer transport.CloseIdleConnections()
	for _, fact := range []struct {
		credentials []string
		status      int
		reason      string
	}{
		{[]string{"Bearer " + w.tokens["good"]}, 200, "capability"},
		{[]string{"Bearer " + w.tokens["reader"], "Bearer " + w.tokens["good"]}, 400, "credential_duplicate"},
		{nil, 401, "token_missing"},
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/notes?x=1", nil)
		require.NoError(t, err)
		request.Header["Authorization"], request.Host = fact.credentials, "api.example"
		before := len(s.records.since(0))
		response, err := transport.RoundTrip(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, 2, response.ProtoMajor)
		require.Equal(t, fact.status, response.StatusCode)
		records := s.records.since(before)
		require.Len(t, records, 1)
		require.Equal(t, fact.reason, records[0].Reason)
	}
}
