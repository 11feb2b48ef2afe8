package httpx_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"

	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/shared/httpx"
)

var hello = httpx.Options{HeadTimeout: patience, Handler: func(ctx *fasthttp.RequestCtx) { httpx.WriteJSON(ctx, 200, "hello") }}

func TestTLSVersions(t *testing.T) {
	c := newCertified(t)
	r := start(t, hello, httpx.ListenOptions{TLS: c.tls.Config()})
	conn, err := c.dial(r.addr)
	require.NoError(t, err)
	defer conn.Close()
	state := conn.ConnectionState()
	require.Equal(t, "http/1.1", state.NegotiatedProtocol)
	require.EqualValues(t, tls.VersionTLS13, state.Version)
	for version, accepted := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true} {
		conn, err := tls.Dial("tcp", r.addr, &tls.Config{RootCAs: c.authority.Pool, MinVersion: version, MaxVersion: version})
		require.Equal(t, accepted, err == nil, "%x: %v", version, err)
		if err == nil {
			require.NoError(t, conn.Close())
		}
	}
	_, err = tls.Dial("tcp", r.addr, &tls.Config{RootCAs: c.authority.Pool, NextProtos: []string{"h2"}})
	require.ErrorContains(t, err, "no application protocol", "no client is left to think that this is HTTP/2")
}

func TestTLSReload(t *testing.T) {
	c := newCertified(t)
	r := start(t, hello, httpx.ListenOptions{TLS: c.tls.Config()})
	require.EqualValues(t, 2, c.serial(r.addr))
	require.Regexp(t, `^3[56]\d\d(\.\d+)?$`, c.metric("agentidp_tls_certificate_expires_seconds"))
	old, err := c.dial(r.addr)
	require.NoError(t, err)
	defer old.Close()

	c.write(c.authority.Good())
	c.look()
	require.EqualValues(t, 3, c.serial(r.addr), "the poll found it")
	c.write(c.authority.Good())
	require.NoError(t, c.tls.Reload(t.Context()))
	require.EqualValues(t, 4, c.serial(r.addr), "we were told")
	require.Equal(t, 2, strings.Count(c.logs.String(), "TLS certificate reloaded"), "not at each look")
	_, err = io.WriteString(old, plain)
	require.NoError(t, err)
	require.Equal(t, 200, read(t, old).status, "connections outlive their certificate")
	require.Equal(t, "0", c.metric("agentidp_tls_reload_failures_total"))
}

func TestTLSKeepsTheOldOne(t *testing.T) {
	c := newCertified(t)
	r := start(t, hello, httpx.ListenOptions{TLS: c.tls.Config()})
	cert, key := c.authority.Good()
	_, other := c.authority.Good()
	expired, expiredKey := c.authority.Issue(time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour))
	future, futureKey := c.authority.Issue(time.Now().Add(time.Hour), time.Now().Add(2*time.Hour))
	for i, bad := range []struct {
		name, says string
		cert, key  []byte
	}{
		{"key of another", "private key does not match", cert, other},
		{"expired", "expired at", expired, expiredKey},
		{"not yet valid", "is not valid before", future, futureKey},
		{"swapped", "TLS certificate", key, cert},
		{"empty", "TLS certificate", nil, nil},
		{"half written", "TLS certificate", cert, key[:len(key)/2]},
		{"huge", "longer than", bytes.Repeat([]byte{'x'}, 1<<20+1), key},
	} {
		c.write(bad.cert, bad.key)
		c.look()
		require.EqualValues(t, 2, c.serial(r.addr), bad.name)
		require.EqualValues(t, i+1, c.tlsFailures(), "%s: counted once while it stays", bad.name)
		require.Equal(t, "1", c.metric("agentidp_tls_reload_failing"), bad.name)
		require.Contains(t, c.logs.String(), bad.says, bad.name)

		_, err := httpx.OpenTLS(httpx.TLSOptions{CertFile: c.cert, KeyFile: c.key})
		require.ErrorContains(t, err, bad.says, "%s: nor does one start with it", bad.name)
	}
	require.NotContains(t, c.logs.String(), string(key[30:60]), "no key in the log")
	require.Error(t, c.tls.Reload(t.Context()))
	require.EqualValues(t, 8, c.tlsFailures(), "who asks for a reload hears of it each time")

	c.write(future, futureKey)
	c.look()
	c.late.Store(int64(90 * time.Minute))
	c.look()
	require.Equal(t, "0", c.metric("agentidp_tls_reload_failing"), "its time has come")

	for _, half := range []httpx.TLSOptions{{}, {CertFile: c.cert}, {KeyFile: c.key}, {CertFile: c.cert, KeyFile: c.key + "x"}, {CertFile: c.cert + "x", KeyFile: c.key}} {
		_, err := httpx.OpenTLS(half)
		require.Error(t, err)
	}
}

func (c *certified) tlsFailures() int {
	text := c.metric("agentidp_tls_reload_failures_total")
	n := 0
	for _, digit := range text {
		n = 10*n + int(digit-'0')
	}
	return n
}

// While certificates change, no handshake and no request fails.
func TestTLSReloadUnderLoad(t *testing.T) {
	c := newCertified(t)
	r := start(t, hello, httpx.ListenOptions{TLS: c.tls.Config()})
	stop := make(chan struct{})
	var clients sync.WaitGroup
	var handshakes atomic.Int64
	failures := make(chan error, 100)
	for range 4 {
		clients.Go(func() {
			client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: c.authority.Pool}}}
			for {
				select {
				case <-stop:
					return
				default:
				}
				response, err := client.Get("https://" + r.addr)
				if err == nil {
					_, err = io.Copy(io.Discard, response.Body)
					err = errors.Join(err, response.Body.Close())
				}
				if err != nil {
					failures <- err
					return
				}
				handshakes.Add(1)
			}
		})
	}
	swaps := 0
	for ; swaps < 20 || handshakes.Load() < 200; swaps++ {
		cert, key := c.authority.Good()
		c.put(c.cert, cert)
		c.look() // and finds a pair that does not match
		c.put(c.key, key)
		c.look()
		if len(failures) > 0 {
			break
		}
	}
	close(stop)
	clients.Wait()
	select {
	case err := <-failures:
		require.NoError(t, err)
	default:
	}
	require.EqualValues(t, swaps+2, c.serial(r.addr))
}

// Whoever does not finish the handshake holds up nobody, counts against its
// address, and is let go of in time.
func TestHandshakesAreBounded(t *testing.T) {
	c := newCertified(t)
	refusals := atomic.Int64{}
	opts := hello
	opts.HeadTimeout = 6 * time.Second // in which the others must come too
	opts.Refuse = func(*fasthttp.RequestCtx, *apierr.Error) { refusals.Add(1) }
	r := start(t, opts, httpx.ListenOptions{TLS: c.tls.Config(), MaxPerAddress: 3})
	silent, half := r.dial(t), r.dial(t)
	_, err := half.Write([]byte{22, 3, 1, 2, 0, 1}) // the beginning of a hello
	require.NoError(t, err)
	require.EqualValues(t, 2, c.serial(r.addr), "a third is served at once")
	eventually(t, func() bool { return r.ln.Open() <= 2 }, "the third has gone")

	third := r.dial(t)
	eventually(t, func() bool { return r.ln.Open() == 3 }, "counted before the handshake")
	fourth := r.dial(t)
	sent, err := io.ReadAll(fourth)
	require.NoError(t, err)
	require.Empty(t, sent)
	require.EqualValues(t, 1, r.ln.Refused())
	for _, conn := range []net.Conn{silent, half, third} {
		_, err := io.Copy(io.Discard, conn)
		require.False(t, timedOut(err), "it ends when the server closes it")
	}
	eventually(t, func() bool { return r.ln.Open() == 0 }, "all gone")

	plainText := r.dial(t)
	_, err = io.WriteString(plainText, plain)
	require.NoError(t, err)
	answer, _ := io.ReadAll(plainText)
	require.NotContains(t, string(answer), "HTTP/", "no plain text on a TLS port")
	require.Zero(t, refusals.Load(), "a handshake that failed was no request")
}
