package httpx_test

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"

	"github.com/sentryagent/agentidp/shared/httpx"
)

func prefixes(texts ...string) []netip.Prefix {
	list := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		list[i] = netip.MustParsePrefix(text)
	}
	return list
}

func TestClientAddress(t *testing.T) {
	trusted := prefixes("10.0.0.0/8", "fd00::/8")
	for name, fact := range map[string]struct {
		remote    string
		forwarded []string
		want      string
	}{
		"no header":                       {"192.0.2.1", nil, "192.0.2.1"},
		"untrusted peer's word":           {"192.0.2.1", []string{"203.0.113.9"}, "192.0.2.1"},
		"one proxy":                       {"10.0.0.1", []string{"203.0.113.9"}, "203.0.113.9"},
		"right-most untrusted":            {"10.0.0.1", []string{"1.1.1.1, 203.0.113.9, 10.0.0.2"}, "203.0.113.9"},
		"over several headers":            {"10.0.0.1", []string{"1.1.1.1", "203.0.113.9", "10.0.0.3,10.0.0.2"}, "203.0.113.9"},
		"spoofed private hop":             {"10.0.0.1", []string{"10.9.9.9, 203.0.113.9"}, "203.0.113.9"},
		"all trusted":                     {"10.0.0.1", []string{"10.0.0.4, 10.0.0.3"}, "10.0.0.4"},
		"garbage ends it":                 {"10.0.0.1", []string{"203.0.113.9, unknown"}, "10.0.0.1"},
		"garbage behind a hop":            {"10.0.0.1", []string{"203.0.113.9, <script>, 10.0.0.2"}, "10.0.0.2"},
		"empty entry":                     {"10.0.0.1", []string{"203.0.113.9,"}, "10.0.0.1"},
		"empty header":                    {"10.0.0.1", []string{""}, "10.0.0.1"},
		"ports":                           {"10.0.0.1", []string{"203.0.113.9:4711, [fd00::1]:443"}, "203.0.113.9"},
		"IPv6":                            {"fd00::1", []string{"2001:db8::7"}, "2001:db8::7"},
		"IPv4 in IPv6 peer":               {"::ffff:10.0.0.1", []string{"::ffff:203.0.113.9"}, "203.0.113.9"},
		"zone":                            {"fe80::1%eth0", nil, "fe80::1"},
		"tabs":                            {"10.0.0.1", []string{"\t203.0.113.9 "}, "203.0.113.9"},
		"a thousand hops end at the 64th": {"10.0.0.1", []string{"203.0.113.9" + strings.Repeat(",10.0.0.2", 1000)}, "10.0.0.2"},
	} {
		require.Equal(t, fact.want, httpx.ClientAddress(netip.MustParseAddr(fact.remote), fact.forwarded, trusted).String(), name)
	}
	require.False(t, httpx.ClientAddress(netip.Addr{}, []string{"203.0.113.9"}, trusted).IsValid())
	require.Equal(t, "10.0.0.1", httpx.ClientAddress(netip.MustParseAddr("10.0.0.1"), []string{"203.0.113.9"}, nil).String(), "nobody is trusted by default")
}

func TestAddressPrefix(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.1": "192.0.2.1/32", "::ffff:192.0.2.1": "192.0.2.1/32",
		"2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "2001:db8:1:2::": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64", "::1": "::/64",
	} {
		require.Equal(t, want, httpx.AddressPrefix(netip.MustParseAddr(address)), address)
	}
	require.Equal(t, "unknown", httpx.AddressPrefix(netip.Addr{}))
}

// request is a context as a handler gets it, from 192.0.2.1.
func request(headers ...string) *fasthttp.RequestCtx {
	var r fasthttp.Request
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	ctx := &fasthttp.RequestCtx{}
	ctx.Init(&r, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}, nil)
	return ctx
}

func TestRequestID(t *testing.T) {
	kept := func(want bool, trusted []netip.Prefix, ids ...string) {
		t.Helper()
		headers := make([]string, 0, 2*len(ids))
		for _, id := range ids {
			headers = append(headers, "x-request-id", id)
		}
		ctx := request(headers...)
		id := httpx.RequestID(ctx, trusted)
		require.Equal(t, id, httpx.RequestID(ctx, nil), "the same for all of the request")
		require.Equal(t, id, string(ctx.Response.Header.Peek("X-Request-Id")))
		if want {
			require.Equal(t, ids[0], id)
			return
		}
		parsed, err := uuid.Parse(id)
		require.NoError(t, err)
		require.EqualValues(t, 4, parsed.Version())
		require.NotContains(t, ids, id)
	}
	all := prefixes("192.0.2.0/24")
	kept(true, all, "abc-DEF_1.2")
	kept(true, all, strings.Repeat("x", 64))
	kept(false, all, strings.Repeat("x", 65))
	kept(false, all, "")
	kept(false, all, "a b")
	kept(false, all, "a\u00e9")
	kept(false, all, "a/b")
	kept(false, all, "abc", "def")
	kept(false, all)
	kept(false, nil, "abc")
	kept(false, prefixes("10.0.0.0/8"), "abc")
}

func TestContext(t *testing.T) {
	ctx := request()
	id := httpx.RequestID(ctx, nil)
	limited, cancel := httpx.Context(ctx, time.Minute)
	defer cancel()
	require.Equal(t, id, httpx.RequestIDOf(limited))
	deadline, ok := limited.Deadline()
	require.True(t, ok)
	require.WithinDuration(t, time.Now().Add(time.Minute), deadline, 10*time.Second)
	open, cancel := httpx.Context(request(), 0)
	_, ok = open.Deadline()
	require.False(t, ok)
	require.Empty(t, httpx.RequestIDOf(open))
	cancel()
	require.ErrorIs(t, open.Err(), context.Canceled)
	require.Equal(t, "192.0.2.1", httpx.Peer(ctx).String())
}
