package issuer

import (
	"context"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/turnstile"
	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/shared/token"
)

func ready(t testing.TB) *Issuer {
	db := openStore(t)
	issuer, err := Open(context.Background(), db, newSealer(t, 1), Auto, newClock().now)
	require.NoError(t, err)
	require.NoError(t, issuer.EnsureKey(context.Background(), (&journal{db: db}).commit))
	return issuer
}

// wire is the token's payload as encoding/json would have it.
type wire struct {
	Issuer       string   `json:"iss"`
	Subject      string   `json:"sub"`
	Audience     any      `json:"aud"`
	ClientID     string   `json:"client_id"`
	Scope        string   `json:"scope"`
	IssuedAt     int64    `json:"iat"`
	ExpiresAt    int64    `json:"exp"`
	JTI          string   `json:"jti"`
	Organization string   `json:"org"`
	Rev          [3]int64 `json:"rev"`
	Status       *status  `json:"status,omitempty"`
}

type status struct {
	List struct {
		Index int64  `json:"idx"`
		URI   string `json:"uri"`
	} `json:"status_list"`
}

func wireOf(c token.Claims) wire {
	w := wire{
		c.Issuer, c.Subject, c.Audience, c.ClientID, c.Scope, c.IssuedAt, c.ExpiresAt, c.JTI, c.Organization, c.Rev, nil,
	}
	if c.Status.URI != "" {
		w.Status = &status{}
		w.Status.List.Index, w.Status.List.URI = c.Status.Index, c.Status.URI
	}
	if len(c.Audience) == 1 {
		w.Audience = c.Audience[0]
	}
	return w
}

func sameBytes(t testing.TB, c token.Claims) {
	var want strings.Builder
	encoder := json.NewEncoder(&want)
	encoder.SetEscapeHTML(false)
	require.NoError(t, encoder.Encode(wireOf(c)))
	require.Equal(t, strings.TrimSuffix(want.String(), "\n"), string(appendClaims(nil, &c)))
}

func TestMint(t *testing.T) {
	issuer := ready(t)
	minted := func(change func(*token.Claims)) {
		t.Helper()
		c := claims(issuer)
		change(&c)
		sameBytes(t, c)
		raw, err := issuer.Mint(t.Context(), c, nil)
		require.NoError(t, err)
		header, err := base64.RawURLEncoding.DecodeString(raw[:strings.IndexByte(raw, '.')])
		require.NoError(t, err)
		require.Equal(t, `{"alg":"RS256","kid":"`+issuer.ActiveKID()+`","typ":"at+jwt"}`, string(header))
		v := verifier(issuer)
		v.Audience = c.Audience[0]
		v.Issuer = c.Issuer
		got, err := v.Verify(t.Context(), raw)
		require.NoError(t, err)
		c.KID = issuer.ActiveKID()
		require.Equal(t, c, got)
	}
	minted(func(*token.Claims) {})
	minted(func(c *token.Claims) { c.KID = issuer.ActiveKID() })
	minted(func(c *token.Claims) { c.Scope = "" })
	minted(func(c *token.Claims) { c.Audience = []string{"https://a.test/?a=1&b=<2>", "https://b.test"} })
	minted(func(c *token.Claims) { c.Audience = []string{`https://a.test/"\`} })
	minted(func(c *token.Claims) { c.Issuer, c.Subject = "https://ü.test/\u2028", "Ω \U0001F600 </script>" })
	minted(func(c *token.Claims) { c.Rev = [3]int64{1 << 53, 0, 9_000_000_000} })
	minted(func(c *token.Claims) {
		c.Status = token.Status{URI: "https://idp.test/statuslists/7?a&b", Index: 1<<20 - 1}
	})
	minted(func(c *token.Claims) { c.Status.URI = "https://ü.test/\u2028" })
}

func TestEveryByteIsEscaped(t *testing.T) {
	for c := range 256 {
		text := "a" + string([]byte{byte(c)}) + "b"
		sameBytes(t, token.Claims{Issuer: text, Subject: text, Audience: []string{text}, Scope: text})
	}
}

// Who adds up lengths before a token is minted adds up right.
func TestAudiencesTakeTheirLength(t *testing.T) {
	length := func(text string) int { return len(appendClaims(nil, &token.Claims{Audience: []string{text}})) }
	require.Equal(t, length("https://a.test/aaaaaaaaa"), length("https://a.test/&<>&<>&<>"))
	require.Equal(t, length("https://a.test/")+len(`\u2028\u2029`), length("https://a.test/\u2028\u2029"), "no line separator as it is")
	require.Equal(t, length("ab")+len("ü"), length("aüb"))
	require.Equal(t, length("ab")+len("ü&<>"), length("aü&<>b"), "nor on the long way")
}

func TestMintRefuses(t *testing.T) {
	issuer := ready(t)
	refused := func(change func(*token.Claims)) error {
		t.Helper()
		c := claims(issuer)
		change(&c)
		raw, err := issuer.Mint(t.Context(), c, nil)
		require.Error(t, err)
		require.Empty(t, raw)
		return err
	}
	refused(func(c *token.Claims) { c.Subject = "" })
	refused(func(c *token.Claims) { c.Audience = nil })
	refused(func(c *token.Claims) { c.Scope = "a  b" })
	refused(func(c *token.Claims) { c.JTI = "a\nb" })
	refused(func(c *token.Claims) { c.Rev[1] = -1 })
	refused(func(c *token.Claims) { c.Status.URI = "" })
	refused(func(c *token.Claims) { c.ExpiresAt = c.IssuedAt })
	refused(func(c *token.Claims) { c.NotBefore = c.IssuedAt })
	long := func(tokens int) func(*token.Claims) {
		return func(c *token.Claims) {
			c.Scope = strings.TrimSpace(strings.Repeat(strings.Repeat("a", 99)+" ", tokens))
		}
	}
	require.True(t, apierr.Is(refused(long(60)), apierr.InvalidScope))
	c := claims(issuer)
	long(54)(&c)
	raw, err := issuer.Mint(t.Context(), c, nil)
	require.NoError(t, err)
	require.Less(t, len(raw), token.MaxLength)
	_, err = verifier(issuer).Verify(t.Context(), raw)
	require.NoError(t, err, "what is minted is short enough to be verified")
}

func TestSignDocument(t *testing.T) {
	issuer := ready(t)
	payload := []byte(strings.Repeat(`{"entries":[]}`, 10_000))
	raw, err := issuer.Sign(t.Context(), "agentidp-revocations+jwt", payload)
	require.NoError(t, err)
	got, kid, err := token.VerifyJWS(raw, "agentidp-revocations+jwt", issuer.Keys(), 1<<20)
	require.NoError(t, err)
	require.Equal(t, payload, got)
	require.Equal(t, issuer.ActiveKID(), kid)
	for _, typ := range []string{"", token.Type} {
		_, err = issuer.Sign(t.Context(), typ, payload)
		require.Error(t, err)
	}
}

// slow holds every signature until released and counts those in flight.
type slow struct {
	release         chan struct{}
	flying, highest atomic.Int64
}

func (s *slow) sign(k crypto.Signer, digest []byte) ([]byte, error) {
	now := s.flying.Add(1)
	defer s.flying.Add(-1)
	for {
		high := s.highest.Load()
		if now <= high || s.highest.CompareAndSwap(high, now) {
			break
		}
	}
	<-s.release
	return k.Sign(nil, digest, crypto.SHA256)
}

func TestSigningIsBounded(t *testing.T) {
	issuer := ready(t)
	cores := runtime.GOMAXPROCS(0)
	issuer.turnstile.Store(turnstile.New(cores, 3))
	held := &slow{release: make(chan struct{})}
	k := issuer.ring.Load().active
	signs := k.signer
	k.signer = signerFunc{func(digest []byte) ([]byte, error) { return held.sign(signs, digest) }}

	var group sync.WaitGroup
	results := make(chan error, cores+3)
	for range cores + 3 {
		group.Go(func() {
			_, err := issuer.Mint(t.Context(), claims(issuer), nil)
			results <- err
		})
	}
	require.Eventually(t, func() bool { return issuer.turnstile.Load().Waiting() == 3 && held.flying.Load() == int64(cores) }, time.Minute, time.Millisecond)

	_, err := issuer.Mint(t.Context(), claims(issuer), nil)
	require.True(t, apierr.Is(err, apierr.Overloaded))
	require.Equal(t, "signing_busy", apierr.From(err).Reason)
	require.Equal(t, time.Second, apierr.From(err).RetryAfter)
	require.ErrorIs(t, err, turnstile.ErrFull)

	close(held.release)
	group.Wait()
	for range cores + 3 {
		require.NoError(t, <-results)
	}
	require.Equal(t, int64(cores), held.highest.Load())

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = issuer.Mint(ended, claims(issuer), nil)
	require.ErrorIs(t, err, context.Canceled)
	require.True(t, apierr.Is(err, apierr.Overloaded))

	k.signer = signerFunc{sign: func([]byte) ([]byte, error) { return nil, errors.New("hardware") }}
	_, err = issuer.Mint(t.Context(), claims(issuer), nil)
	require.True(t, apierr.Is(err, apierr.Internal))
	require.NotContains(t, apierr.From(err).Detail, "hardware")
}

func FuzzAppendClaims(f *testing.F) {
	f.Add("https://idp.test", "agent", "https://a.test", "", int64(5), 0)
	f.Add("\xff\x00\u2028<&>", "\"\\\t", "a", "b", int64(-1), 2)
	f.Fuzz(func(t *testing.T, iss, sub, aud, scope string, n int64, more int) {
		c := token.Claims{Issuer: iss, Subject: sub, Audience: []string{aud}, ClientID: sub, Scope: scope, IssuedAt: n, ExpiresAt: -n, JTI: aud, Organization: iss}
		for range more % 4 {
			c.Audience = append(c.Audience, scope)
		}
		c.Rev, c.Status = [3]int64{n, n >> 1, n >> 2}, token.Status{URI: aud, Index: n}
		sameBytes(t, c)
	})
}

func BenchmarkMint(b *testing.B) {
	issuer := ready(b)
	c := claims(issuer)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := issuer.Mint(b.Context(), c, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMintParallel(b *testing.B) {
	issuer := ready(b)
	c := claims(issuer)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := issuer.Mint(context.Background(), c, nil); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// Everything of Mint but the signature.
func BenchmarkEncode(b *testing.B) {
	issuer := ready(b)
	c := claims(issuer)
	k := issuer.ring.Load().active
	signature := make([]byte, k.public.Size())
	k.signer = signerFunc{sign: func([]byte) ([]byte, error) { return signature, nil }}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := issuer.Mint(b.Context(), c, nil); err != nil {
			b.Fatal(err)
		}
	}
}
