package faults

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// keyServer stands between a sidecar and the key set of its IdP, and answers
// with something else on demand.
type keyServer struct {
	*httptest.Server
	mode  atomic.Pointer[string] // "": what the IdP says
	hits  atomic.Int64           // since the mode was set
	other []byte                 // a usable set of somebody else's keys
}

const hugeSet = 32 << 20

func newKeyServer(t *testing.T, p *idp) *keyServer {
	t.Helper()
	k := &keyServer{other: keySet(t, 2048, "sig")}
	weak := keySet(t, 1024, "sig")
	foreign := keySet(t, 2048, "enc")
	upstream := &http.Client{Timeout: 5 * time.Second}
	k.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		k.hits.Add(1)
		switch *k.mode.Load() {
		case "":
			response, err := upstream.Get(p.url + "/.well-known/jwks.json")
			if err != nil {
				w.WriteHeader(http.StatusBadGateway)
				return
			}
			defer response.Body.Close()
			w.WriteHeader(response.StatusCode)
			_, _ = io.Copy(w, response.Body)
		case "500":
			w.WriteHeader(http.StatusInternalServerError)
		case "junk":
			_, _ = io.WriteString(w, "<html>sorry</html>")
		case "nothing":
		case "empty":
			_, _ = io.WriteString(w, `{"keys":[]}`)
		case "huge":
			_, _ = io.WriteString(w, `{"keys":[],"padding":"`)
			for range hugeSet >> 16 {
				if _, err := io.WriteString(w, strings.Repeat("x", 1<<16)); err != nil {
					return
				}
			}
			_, _ = io.WriteString(w, `"}`)
		case "slow":
			for i := range 600 { // a byte now and then, for longer than anybody should wait
				if *k.mode.Load() != "slow" {
					return
				}
				if _, err := fmt.Fprintf(w, "%d", i%10); err != nil {
					return
				}
				w.(http.Flusher).Flush()
				select {
				case <-r.Context().Done():
					return
				case <-time.After(100 * time.Millisecond):
				}
			}
		case "cut":
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, `{"keys":[`)
		case "weak":
			_, _ = w.Write(weak)
		case "not for signatures":
			_, _ = w.Write(foreign)
		case "other keys":
			_, _ = w.Write(k.other)
		case "redirect":
			http.Redirect(w, r, p.url+"/.well-known/jwks.json", http.StatusFound)
		}
	}))
	k.set("")
	t.Cleanup(k.Close)
	return k
}

func (k *keyServer) set(mode string) {
	k.mode.Store(&mode)
	k.hits.Store(0)
}

// keySet is a key set of one new RSA key.
func keySet(t *testing.T, bits int, use string) []byte {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	require.NoError(t, err)
	encode := base64.RawURLEncoding.EncodeToString
	set, err := json.Marshal(map[string]any{"keys": []map[string]any{{
		"kty": "RSA", "alg": "RS256", "use": use, "kid": rand.Text(), "n": encode(key.N.Bytes()), "e": encode(big.NewInt(int64(key.E)).Bytes()),
	}}})
	require.NoError(t, err)
	return set
}

// F15: the key set is answered with everything but a key set. Known keys go on,
// unknown ones are refused as such, and memory stays bounded. A whole set of
// other keys is the issuer's word that the known one is withdrawn: then its
// tokens are refused, and good again when it is back.
func TestF15KeySet(t *testing.T) {
	t.Parallel()
	p, a, l := newIdP(t), newAPI(t), &ledger{}
	token := p.reader()
	stranger := forge(t, token, "kid-unheard-of")
	k := newKeyServer(t, p)
	s := newSidecar(t, p, a.URL, "AGENTIDP_SIDECAR_JWKS_URL="+k.URL+"/jwks.json", "AGENTIDP_SIDECAR_JWKS_TTL=1s", "AGENTIDP_SIDECAR_JWKS_COOLDOWN=1s")
	s.Start()
	load := start(l, 2, 2*time.Millisecond, at(s), func(n int) (string, string) {
		if n%20 == 3 {
			return "/notes/0", stranger
		}
		return mix(token)(n)
	})
	flowing(t, l, pick(1000, 20_000))
	before := s.memory("VmRSS")
	s.forgetPeak()
	modes := []string{"500", "junk", "nothing", "empty", "huge", "slow", "cut", "weak", "not for signatures", "redirect"}
	from := l.size()
	for _, mode := range modes {
		k.set(mode)
		enough := pick[int64](1, 20)
		if mode == "slow" {
			enough = pick[int64](1, 3) // each takes as long as the sidecar waits
		}
		awaitFor(t, 2*time.Minute, mode+" was asked for", func() bool { return k.hits.Load() >= enough })
		flowing(t, l, 100) // under what it was answered
	}
	k.set("")
	grown := s.memory("VmHWM") - before
	until := l.size()

	// The load breaks on this one: refused, but never with 5xx.
	k.set("other keys")
	withdrawn := refusedWith("unknown_key")
	awaited := await(t, "a key that is withdrawn is refused", func() bool {
		return l.count(until, func(d *deed) bool { return d.path == "/secret" && withdrawn(d) }) > 0
	})
	k.set("")
	again := l.size()
	await(t, "it is back", func() bool { return l.count(again, served) > 0 })
	load.stop()
	deeds := l.since(0)
	quiet := deeds[from:until]
	failed := having(quiet, func(d *deed) bool {
		return d.told != answers || d.status >= 500 || d.path != "/notes/0" && d.status == 401
	})
	wrong := having(quiet, except("/notes/0", func(d *deed) bool { return served(d) || withdrawn(d) }))
	broken := having(deeds, func(d *deed) bool { return d.told != answers || d.status >= 500 })
	f, _ := verdict(p, l, a, s)
	f.runs = len(modes) + 1
	report(t, "F15", f, "failed=%d wrong=%d 5xx=%d rss_mib=%.1f rss_delta_mib=%.1f withdrawn_refused_s=%.1f",
		len(failed), len(wrong), len(broken), mib(before), mib(grown), awaited.Seconds())
	require.Empty(t, some(failed))
	require.Empty(t, some(wrong))
	require.Empty(t, some(broken))
	require.Less(t, grown, int64(24<<20), "an answer of 32 MiB is not held")
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }
