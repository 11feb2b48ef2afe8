package jwksfetch_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sentryagent/agentidp/idp/internal/clientauth"
	"github.com/sentryagent/agentidp/idp/internal/jwksfetch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// site is a real server of key sets, with a name of its own.
type site struct {
	server *httptest.Server
	hits   atomic.Int64

	mu      sync.Mutex
	handler http.HandlerFunc
}

func newSite(t *testing.T, handler http.HandlerFunc) *site {
	s := &site{handler: handler}
	s.server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.hits.Add(1)
		s.mu.Lock()
		handler := s.handler
		s.mu.Unlock()
		handler(w, r)
	}))
	t.Cleanup(s.server.Close)
	return s
}

func (s *site) serve(handler http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handler = handler
}

// uri is the site by its address; the certificate is good for example.com, too.
func (s *site) uri() string { return s.server.URL + "/keys.json" }

func (s *site) uriAt(host string) string {
	u, err := url.Parse(s.server.URL)
	if err != nil {
		panic(err)
	}
	return "https://" + host + ":" + u.Port() + "/keys.json"
}

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// world is a Fetcher with its own clock.
type world struct {
	t  *testing.T
	f  *jwksfetch.Fetcher
	at atomic.Int64 // Unix seconds
	m  *metrics.Set
}

func newWorld(t *testing.T, s *site, change func(*jwksfetch.Options)) *world {
	w := &world{t: t, m: metrics.NewSet()}
	w.at.Store(1_700_000_000)
	o := jwksfetch.Options{Allow: loopback, Metrics: w.m, Now: func() time.Time { return time.Unix(w.at.Load(), 0) }}
	if s != nil {
		o.Roots = x509.NewCertPool()
		o.Roots.AddCert(s.server.Certificate())
	}
	o.SetTimes(time.Minute, time.Minute)
	if change != nil {
		change(&o)
	}
	w.f = jwksfetch.New(o)
	t.Cleanup(w.f.Close)
	return w
}

func (w *world) forward(d time.Duration) { w.at.Add(int64(d / time.Second)) }

// at is an address of the organization that a test is about.
func at(uri string) clientauth.KeyAddress {
	return clientauth.KeyAddress{OrganizationID: "ours", URI: uri}
}

// keys asks for a set of at least so many keys.
func (w *world) keys(uri string, atLeast int) (*clientauth.KeySet, error) {
	return w.keysFor("ours", uri, atLeast)
}

func (w *world) keysFor(organization, uri string, atLeast int) (*clientauth.KeySet, error) {
	from := clientauth.KeyAddress{OrganizationID: organization, URI: uri}
	return w.f.Keys(context.Background(), from, func(s *clientauth.KeySet) bool { return s.Len() >= atLeast })
}

func (w *world) has(uri string, keys int) {
	w.t.Helper()
	set, err := w.keys(uri, keys)
	require.NoError(w.t, err)
	require.Equal(w.t, keys, set.Len())
}

func (w *world) unavailable(uri, result string) error {
	w.t.Helper()
	before := w.count(result)
	_, err := w.keys(uri, 1)
	require.ErrorIs(w.t, err, jwksfetch.ErrUnavailable)
	require.Equal(w.t, before+1, w.count(result), "%s: %v\n%s", result, err, w.text())
	return err
}

func (w *world) text() string {
	var text strings.Builder
	w.m.WritePrometheus(&text)
	return text.String()
}

func (w *world) count(result string) (n int) {
	for line := range strings.Lines(w.text()) {
		if rest, found := strings.CutPrefix(line, `agentidp_jwks_fetches_total{result="`+result+`"} `); found {
			_, err := fmt.Sscan(rest, &n)
			require.NoError(w.t, err)
		}
	}
	return n
}

// document is a key set of so many fresh keys.
func document(keys int) []byte {
	list := make([]map[string]any, keys)
	for i := range list {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			panic(err)
		}
		point, err := key.PublicKey.Bytes()
		if err != nil {
			panic(err)
		}
		list[i] = map[string]any{
			"kty": "EC", "crv": "P-256", "kid": fmt.Sprint(i),
			"x": base64.RawURLEncoding.EncodeToString(point[1:33]), "y": base64.RawURLEncoding.EncodeToString(point[33:]),
		}
	}
	body, err := json.Marshal(map[string]any{"keys": list})
	if err != nil {
		panic(err)
	}
	return body
}

// answer serves a key set, with headers as "Name: value".
func answer(body []byte, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for _, header := range headers {
			name, value, _ := strings.Cut(header, ": ")
			w.Header().Set(name, value)
		}
		_, _ = w.Write(body)
	}
}

// nameserver is a real name server for A records: it answers from answers in
// turn, the last for ever, and counts.
func nameserver(t *testing.T, answers ...string) (*net.Resolver, *atomic.Int64) {
	connection, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	asked := &atomic.Int64{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buffer := make([]byte, 512)
		for {
			n, from, err := connection.ReadFrom(buffer)
			if err != nil {
				return
			}
			question := buffer[:n]
			end := 12
			for question[end] != 0 {
				end += int(question[end]) + 1
			}
			isA := question[end+2] == 1
			reply := append([]byte{question[0], question[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, question[12:end+5]...)
			if isA {
				turn := min(int(asked.Add(1)), len(answers)) - 1
				address := netip.MustParseAddr(answers[turn]).As4()
				reply[7] = 1
				reply = append(append(reply, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4), address[:]...)
			}
			_, _ = connection.WriteTo(reply, from)
		}
	}()
	t.Cleanup(func() {
		require.NoError(t, connection.Close())
		<-done
	})
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", connection.LocalAddr().String())
	}}, asked
}
