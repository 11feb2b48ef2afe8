package jwksfetch_test

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/jwksfetch"
)

// canary listens on every address of the host and demands that nobody comes.
func canary(t *testing.T) (port string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	came := make(chan struct{})
	go func() {
		connection, err := listener.Accept()
		if err == nil {
			_ = connection.Close()
		}
		close(came)
	}()
	t.Cleanup(func() {
		select {
		case <-came:
			t.Error("a connection reached the canary")
		default:
		}
		require.NoError(t, listener.Close())
		<-came
	})
	_, port, err = net.SplitHostPort(listener.Addr().String())
	require.NoError(t, err)
	return port
}

// Addresses that only the IdP can reach, in every spelling that a URL takes.
func TestNothingPrivateIsDialled(t *testing.T) {
	port := canary(t)
	w := newWorld(t, nil, func(o *jwksfetch.Options) { o.Allow = nil })
	for _, host := range []string{
		"127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "169.254.169.254",
		"192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "192.88.99.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
		"[::1]", "[::]", "[fe80::1]", "[fc00::1]", "[fd00:ec2::254]", "[ff02::1]", "[fec0::1]", "[::ffff:127.0.0.1]", "[::ffff:10.0.0.1]", "[::7f00:1]",
		"[64:ff9b::7f00:1]", "[64:ff9b:1::1]", "[2002:7f00:1::]", "[2002:a9fe:a9fe::1]", "[2001::1]", "[2001:db8::1]", "[100::1]", "[3fff::1]", "[5f00::1]",
	} {
		err := w.unavailable("https://"+host+":"+port+"/keys", "refused_address")
		require.ErrorContains(t, err, "not a public one", host)
	}
}

// Spellings that some readers take for an address are refused as they stand.
func TestSpellingsOfAddresses(t *testing.T) {
	port := canary(t)
	w := newWorld(t, nil, func(o *jwksfetch.Options) { o.Allow = nil })
	for _, host := range []string{
		"127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "127.0.0.01", "127.0.0.1.", "[::1%25lo]", "[0:0:0:0:0:0:0:1]", "[::FFFF:127.0.0.1]",
		"1.2.3.4.5", "example.1", "localhost.", "ex_ample.com", "-a.com", "a-.com", "a..com", ".com", "%31%32%37.0.0.1", "１２７.0.0.1", "127。0。0。1",
	} {
		uri := "https://" + host + ":" + port + "/keys"
		require.NotEmpty(t, jwksfetch.CheckURI(uri, false), host)
		w.unavailable(uri, "refused_address")
	}
}

func TestNamesThatLeadInside(t *testing.T) {
	s := newSite(t, answer(document(1)))
	for _, address := range []string{"127.0.0.1", "169.254.169.254", "10.0.0.1"} {
		resolver, asked := nameserver(t, address)
		w := newWorld(t, s, func(o *jwksfetch.Options) { o.Allow, o.Resolver = nil, resolver })
		w.unavailable(s.uriAt("example.com"), "refused_address")
		require.NotZero(t, asked.Load())
	}
	require.Zero(t, s.hits.Load())
}

// A name that was good a moment ago: what counts is the address dialled.
func TestRebinding(t *testing.T) {
	s := newSite(t, answer(document(1)))
	resolver, asked := nameserver(t, "127.0.0.2", "127.0.0.1")
	allowed := []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}
	w := newWorld(t, s, func(o *jwksfetch.Options) { o.Allow, o.Resolver = allowed, resolver })
	_, err := w.keys(s.uriAt("example.com"), 1)
	require.ErrorIs(t, err, jwksfetch.ErrUnavailable, "nobody listens there")
	require.Equal(t, 1, w.count("unreachable"))
	w.forward(30 * time.Second)
	w.unavailable(s.uriAt("example.com"), "refused_address")
	require.Equal(t, int64(2), asked.Load())
	require.Zero(t, s.hits.Load())
}

func TestCheckURI(t *testing.T) {
	for _, good := range []string{
		"https://example.com", "https://EXAMPLE.com/keys?a=b", "https://example.com:443/", "https://example.com:8443/k", "https://8.8.8.8/k", "https://[2606:4700::1111]/k", "https://keys/k", "https://xn--bcher-kva.example/",
	} {
		require.Empty(t, jwksfetch.CheckURI(good, false), good)
	}
	for _, bad := range []string{
		"", "x", "/keys", "//example.com/keys", "http://example.com/keys", "ftp://example.com", "file:///etc/passwd", "data:application/json,{}", "https:example.com", "https://", "https:///keys",
		"https://user@example.com", "https://u:p@example.com", "https://@example.com", "https://example.com/#", "https://example.com/#f", "https://example.com:", "https://example.com:0", "https://example.com:22", "https://example.com:80",
		"https://example.com:65536", "https://example.com:0443", "https://example.com:+443", "https://exa mple.com", "https://example.com/\n", "https://example.com\\@evil.com/", "https://bücher.example/", "https://" + strings.Repeat("a", 64) + ".com",
		"https://example.com/" + strings.Repeat("x", 1024), "https://" + strings.Repeat("a.", 130) + "com", "https://[::1", "https://example.com%2f", "http://127.0.0.1/keys",
	} {
		rules := jwksfetch.CheckURI(bad, false)
		require.Len(t, rules, 1, bad)
		require.Equal(t, "jwksUri", rules[0].Field)
	}
	for _, local := range []string{"http://127.0.0.1:8080/keys", "http://localhost/keys", "http://[::1]:8080/", "http://127.0.0.1:80/"} {
		require.Empty(t, jwksfetch.CheckURI(local, true), local)
		require.NotEmpty(t, jwksfetch.CheckURI(local, false), local)
	}
	for _, remote := range []string{"http://example.com/keys", "http://10.0.0.1/keys", "http://localhost.example.com/", "http://127.0.0.1:443/"} {
		require.NotEmpty(t, jwksfetch.CheckURI(remote, true), remote)
	}
}
