package extauthz

import (
	"net/netip"
	"testing"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/sentryagent/agentidp/sidecar/internal/guard"
)

// held is a request as Envoy tells of it.
func held(change ...func(*auth.AttributeContext_HttpRequest)) *auth.CheckRequest {
	r := &auth.AttributeContext_HttpRequest{
		Method: "GET", Path: "/notes?x=1", Host: "api.example", Scheme: "https", Protocol: "HTTP/2",
		Headers: map[string]string{
			":method": "GET", ":path": "/notes?x=1", ":authority": "api.example", ":scheme": "https",
			"authorization": "Bearer a.b.c", "x-forwarded-for": "192.0.2.7",
		},
	}
	for _, c := range change {
		c(r)
	}
	return &auth.CheckRequest{Attributes: &auth.AttributeContext{
		Source:  &auth.AttributeContext_Peer{Address: &core.Address{Address: &core.Address_SocketAddress{SocketAddress: &core.SocketAddress{Address: "::ffff:192.0.2.1"}}}},
		Request: &auth.AttributeContext_Request{Http: r},
	}}
}

func raw(fields ...[2]string) func(*auth.AttributeContext_HttpRequest) {
	return func(r *auth.AttributeContext_HttpRequest) {
		r.Headers, r.HeaderMap = nil, &core.HeaderMap{}
		for _, f := range fields {
			r.HeaderMap.Headers = append(r.HeaderMap.Headers, &core.HeaderValue{Key: f[0], RawValue: []byte(f[1])})
		}
	}
}

func TestTheQuestionIsWhatEnvoyHolds(t *testing.T) {
	q, names := question(held())
	require.Equal(t, "GET", string(q.Request.Method))
	require.Equal(t, "/notes?x=1", string(q.Request.Target))
	require.Equal(t, "HTTP/1.1", string(q.Request.Protocol))
	require.Equal(t, "Host: api.example\r\nauthorization: Bearer a.b.c\r\nx-forwarded-for: 192.0.2.7\r\n\r\n", string(q.Request.Fields))
	require.Equal(t, []string{"authorization", "x-forwarded-for"}, names)
	require.Equal(t, netip.MustParseAddr("192.0.2.1"), q.Client)
	require.Equal(t, "https", q.Proto)

	q, _ = question(held(raw([2]string{"b", "2"}, [2]string{"a", "1"}, [2]string{"b", "3"})))
	require.Equal(t, "Host: api.example\r\nb: 2\r\na: 1\r\nb: 3\r\n\r\n", string(q.Request.Fields), "as they came")
}

func TestDoubtfulQuestionsAreRefused(t *testing.T) {
	type request = auth.AttributeContext_HttpRequest
	with := func(name, value string) func(*request) { return func(r *request) { r.Headers[name] = value } }
	for _, fact := range []struct {
		name   string
		change func(*request)
		reason string // "" for none
	}{
		{"as Envoy sends it", func(*request) {}, ""},
		{"raw", raw([2]string{":method", "GET"}, [2]string{"authorization", "Bearer a.b.c"}), ""},
		{"a raw path that is no UTF-8", func(r *request) {
			raw([2]string{":path", "/pub/\xff"})(r)
			r.Path = "/pub/!"
		}, "question_mixed"},
		{"HTTP/3", func(r *request) { r.Protocol = "HTTP/3" }, ""},
		{"no TLS", func(r *request) { r.Scheme, r.Headers[":scheme"] = "http", "http" }, ""},
		{"HTTP/1.0", func(r *request) { r.Protocol = "HTTP/1.0" }, "http_version"},
		{"no protocol", func(r *request) { r.Protocol = "" }, "http_version"},
		{"no method", func(r *request) { r.Method, r.Headers = "", nil }, "method_invalid"},
		{"no path", func(r *request) { r.Path, r.Headers = "", nil }, "target_form"},
		{"no host", func(r *request) { r.Host, r.Headers = "", nil }, "host_invalid"},
		{"host twice", with("host", "api.example"), "header_duplicate"},
		{"line break in the host", func(r *request) { r.Host, r.Headers = "a\r\nX-Evil: 1", nil }, "header_value"},
		{"line break in a value", with("x-a", "1\r\nauthorization: Bearer x"), "header_value"},
		{"bare LF in a value", with("x-a", "1\nx"), "header_value"},
		{"NUL in a value", raw([2]string{"x-a", "\x00"}), "header_value"},
		{"line break in a name", with("x-a: 1\r\nx-b", "1"), "header_name"},
		{"colon in a name", with("x-a:authorization", "1"), "header_name"},
		{"no name", with("", "1"), "header_name"},
		{"space in a name", with("x agent", "1"), "header_name"},
		{"joined credentials", with("authorization", "Bearer a.b.c,Bearer d.e.f"), "credential_duplicate"},
		{"joined credentials of two schemes", with("authorization", "Basic YTpi,Bearer d.e.f"), "credential_duplicate"},
		{"two credentials", raw([2]string{"authorization", "Bearer a"}, [2]string{"authorization", "Bearer a"}), "credential_duplicate"},
		{"two credentials in two spellings", with("Authorization", "Bearer d.e.f"), "credential_duplicate"},
		{"another method", with(":method", "POST"), "question_mixed"},
		{"another path", with(":path", "/admin"), "question_mixed"},
		{"another host", with(":authority", "evil.example"), "question_mixed"},
		{"another scheme", with(":scheme", "http"), "question_mixed"},
		{"extended CONNECT", with(":protocol", "websocket"), "question_mixed"},
		{"both forms", func(r *request) {
			r.HeaderMap = &core.HeaderMap{Headers: []*core.HeaderValue{{Key: "a", RawValue: []byte("1")}}}
		}, "question_mixed"},
		{"both values", func(r *request) {
			r.Headers, r.HeaderMap = nil, &core.HeaderMap{Headers: []*core.HeaderValue{{Key: "a", Value: "1", RawValue: []byte("1")}}}
		}, "question_mixed"},
	} {
		t.Run(fact.name, func(t *testing.T) { require.Equal(t, fact.reason, judged(held(fact.change))) })
	}
	require.Equal(t, "question_incomplete", judged(&auth.CheckRequest{}))
	require.Equal(t, "question_incomplete", judged(nil))
	q, _ := question(&auth.CheckRequest{})
	require.False(t, q.Client.IsValid())
	require.Equal(t, "http", q.Proto)
}

// judged is why it is refused before anything else; "" if it is not.
func judged(in *auth.CheckRequest) string {
	q, _ := question(in)
	if q.Doubt != nil {
		return q.Doubt.Reason
	}
	if why := guard.DefaultLimits.Check(q.Request, &guard.Head{}); why != nil {
		return why.Reason
	}
	return ""
}

// What the guard accepts is what Envoy holds, field by field: no message can
// bring in a line that is no field of its own.
func FuzzQuestion(f *testing.F) {
	for _, seed := range []*auth.CheckRequest{
		held(), held(raw([2]string{"a", "1"}, [2]string{":path", "/notes?x=1"})), {},
		held(func(r *auth.AttributeContext_HttpRequest) { r.Headers["authorization"] = "Bearer a,Bearer b" }),
	} {
		encoded, err := proto.Marshal(seed)
		require.NoError(f, err)
		f.Add(encoded, "x-a", "1")
	}
	f.Fuzz(func(t *testing.T, encoded []byte, name, value string) {
		in := &auth.CheckRequest{}
		if proto.Unmarshal(encoded, in) != nil {
			return
		}
		r := in.GetAttributes().GetRequest().GetHttp()
		if r != nil && r.HeaderMap == nil && name != "" {
			if r.Headers == nil {
				r.Headers = map[string]string{}
			}
			r.Headers[name] = value
		}
		q, names := question(in)
		var head guard.Head
		if q.Doubt != nil || guard.DefaultLimits.Check(q.Request, &head) != nil {
			return
		}
		require.Equal(t, r.GetMethod(), string(q.Request.Method))
		require.Equal(t, r.GetPath(), string(q.Request.Target))
		require.Equal(t, r.GetHost(), string(head.Host))
		var read []string
		for block := head.Fields; ; {
			name, _, rest, why := guard.Next(block)
			require.Nil(t, why)
			if name == nil {
				break
			}
			read, block = append(read, string(name)), rest
		}
		require.Equal(t, append([]string{"Host"}, names...), read)
	})
}
