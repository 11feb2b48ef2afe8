package vault_test

import (
	"context"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/vault"
	"github.com/sentryagent/agentidp/idp/internal/vault/vaulttest"
)

// recovers demands that a secret is proven again without anybody's doing.
func (w *world) recovers(client *vault.Client, encoded string, wait func()) {
	w.Helper()
	require.Eventually(w, func() bool {
		wait()
		right, err := client.Secrets().Verify(w.Context(), encoded, first)
		require.Equal(w, err == nil, right, "no verdict or the right one")
		return right
	}, soon, tick)
	require.Eventually(w, func() bool { wait(); return client.Ready(w.Context()) == nil }, soon, tick)
}

// during runs many verifications at once: none may give a verdict, as it would
// if it waited for a Vault that is late.
func (w *world) during(client *vault.Client, encoded string, wait func()) {
	w.Helper()
	var all sync.WaitGroup
	errs := make(chan error, 100)
	for range cap(errs) {
		all.Go(func() {
			_, err := client.Secrets().Verify(w.Context(), encoded, first)
			errs <- err
		})
	}
	all.Wait()
	close(errs)
	for err := range errs {
		require.ErrorIs(w, w.err(err), vault.ErrUnavailable)
	}
	// The breaker is open: who comes now does not wait, and Vault is not asked.
	w.proxy.Requests()
	for range 20 {
		w.unavailable(client.Secrets(), encoded, first)
	}
	require.Empty(w, w.proxy.Requests())
	require.Eventually(w, func() bool { wait(); return errors.Is(w.err(client.Ready(w.Context())), vault.ErrUnavailable) }, soon, tick)
}

// outage demands of clients, one logged in and one not, that they sit it out.
func (w *world) outage(begin, end func()) {
	w.Helper()
	w.appRole(time.Hour, time.Hour)
	encoded := w.hash(w.open().Secrets(), newID(), first)
	// The clock stands still while nobody waits, and with it the breaker.
	var waited atomic.Int64
	began := time.Now()
	w.options.Now = func() time.Time { return began.Add(time.Duration(waited.Load())) }
	wait := func() { waited.Add(int64(2 * time.Second)) }
	w.options.SetCallTimeout(0)
	client, fresh := w.open(), w.open()
	require.Eventually(w, func() bool { wait(); return client.Ready(w.Context()) == nil }, soon, tick)
	begin()
	w.during(client, encoded, wait)
	w.during(fresh, encoded, wait)
	end()
	w.recovers(client, encoded, wait)
	w.recovers(fresh, encoded, wait)
	require.Contains(w, w.said.String(), "vault does not answer")
	require.Contains(w, w.said.String(), "vault answers again")
}

func TestSealed(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		if w.server.CanSeal() { // else it is not ours
			w.outage(func() { w.server.Seal(t) }, func() { w.server.Unseal(t) })
		}
	})
}

func TestTenSecondsLate(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.outage(func() { w.proxy.SetDelay(10 * time.Second) }, func() { w.proxy.SetDelay(0) })
	})
}

// What stands between us and Vault fails in its own ways.
func TestBrokenConnections(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"cut":                        func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"a gateway that has lost it": func(rw http.ResponseWriter, _ *http.Request) { http.Error(rw, "<html>", http.StatusBadGateway) },
		"half an answer": func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Length", "100")
			_, _ = rw.Write([]byte(`{"data":{`))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, vaulttest.NewDouble(t))
			w.outage(func() { w.proxy.Instead(answer) }, func() { w.proxy.Instead(nil) })
		})
	}
}

// Who leaves is told so, and says nothing about Vault.
func TestCallersWhoLeave(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.options.SetCallTimeout(5 * time.Second) // less than Vault takes, below
		client := w.open()
		s := client.Secrets()
		encoded := w.hash(s, newID(), first)
		w.proxy.SetDelay(10 * time.Second)
		for range 10 {
			ctx, cancel := context.WithCancel(t.Context())
			w.proxy.Before(func(*http.Request) { cancel() })
			_, err := s.Verify(ctx, encoded, first)
			require.ErrorIs(t, w.err(err), context.Canceled)
			require.NotErrorIs(t, err, vault.ErrUnavailable)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		require.Error(t, client.Ready(gone))
		w.proxy.Before(nil)
		w.proxy.SetDelay(0)
		require.True(t, w.verifies(s, encoded, first), "at once")
	})
}

// Asking whether Vault is there costs it one request a second.
func TestReadyIsRemembered(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.appRole(time.Hour, time.Hour)
		now := time.Now()
		w.options.Now = func() time.Time { return now }
		client := w.open()
		for range 20 {
			require.NoError(t, client.Ready(t.Context()))
		}
		require.Equal(t, 1, w.count("/lookup-self"))
	})
}

// A server, or something in between, that repeats what it was sent finds no echo in our errors.
func TestNoEcho(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		client := w.open()
		s := client.Secrets()
		encoded := w.hash(s, newID(), first)
		for _, status := range []int{200, 204, 301, 307, 400, 403, 404, 405, 412, 418, 429, 500, 503} {
			w.proxy.Instead(func(rw http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				rw.Header().Set("Location", "http://127.0.0.1:1/"+r.Header.Get("X-Vault-Token"))
				rw.WriteHeader(status)
				_, _ = rw.Write([]byte(`{"errors":["` + strings.ReplaceAll(string(body), `"`, `'`) + r.Header.Get("X-Vault-Token") + `"]}`))
			})
			_, err := s.Hash(t.Context(), newID(), second)
			require.Error(t, w.err(err))
			_, err = s.Verify(t.Context(), encoded, first)
			require.Error(t, w.err(err))
			_, err = client.Wrap(t.Context(), make([]byte, 32))
			require.Error(t, w.err(err))
			_ = w.err(s.Delete(t.Context(), encoded))
		}
		w.hide(second)
	})
}

func TestAnswersThatAreNoAnswers(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s := w.open().Secrets()
		encoded := w.hash(s, newID(), first)
		for _, text := range []string{
			"", "null", "[]", "7", `{"data":7}`, `{"data":{}}`, `{"data":{"data":{},"metadata":{"version":1}}}`,
			`{"data":{"data":{"hmacSha256":""},"metadata":{"version":1}}}`, "{" + strings.Repeat(" ", 1<<20) + "}",
			`{"data":{"data":{"hmacSha256":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},"metadata":{"version":2}}}`,
		} {
			w.proxy.Instead(func(rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write([]byte(text)) })
			right, err := s.Verify(t.Context(), encoded, first)
			require.Error(t, w.err(err), text)
			require.False(t, right)
		}
	})
}

func TestTLS(t *testing.T) {
	w := newWorld(t, vaulttest.NewDouble(t))
	answer := func(rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write([]byte(`{"data":{"ttl":0}}`)) }
	server := httptest.NewTLSServer(http.HandlerFunc(answer))
	t.Cleanup(server.Close)
	w.options.Addr = server.URL
	require.ErrorIs(t, w.err(w.open().Ready(t.Context())), vault.ErrUnavailable, "a stranger's certificate")

	w.options.CACert = filepath.Join(t.TempDir(), "ca.pem")
	pem := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	require.NoError(t, os.WriteFile(w.options.CACert, pem, 0o600))
	require.NoError(t, w.open().Ready(t.Context()))
}

func TestOptions(t *testing.T) {
	nothing := filepath.Join(t.TempDir(), "nothing")
	require.NoError(t, os.WriteFile(nothing, nil, 0o600))
	good := vault.Options{Addr: "https://vault.example:8200", Token: "t"}
	for name, change := range map[string]func(o *vault.Options){
		"no address":           func(o *vault.Options) { o.Addr = "" },
		"no host":              func(o *vault.Options) { o.Addr = "https://" },
		"another scheme":       func(o *vault.Options) { o.Addr = "ftp://vault.example" },
		"a password":           func(o *vault.Options) { o.Addr = "https://me:secretword@vault.example" },
		"no login":             func(o *vault.Options) { o.Token = "" },
		"two logins":           func(o *vault.Options) { o.TokenFile = "x" },
		"AppRole of no role":   func(o *vault.Options) { o.Token, o.AppRole = "", &vault.AppRole{SecretID: "x"} },
		"AppRole of no secret": func(o *vault.Options) { o.Token, o.AppRole = "", &vault.AppRole{RoleID: "x"} },
		"AppRole of two secrets": func(o *vault.Options) {
			o.Token, o.AppRole = "", &vault.AppRole{RoleID: "x", SecretID: "y", SecretIDFile: "z"}
		},
		"Kubernetes of no role": func(o *vault.Options) { o.Token, o.Kubernetes = "", &vault.Kubernetes{} },
		"no CA file":            func(o *vault.Options) { o.CACert = nothing + "x" },
		"no CA in the file":     func(o *vault.Options) { o.CACert = nothing },
	} {
		t.Run(name, func(t *testing.T) {
			o := good
			change(&o)
			_, err := vault.Open(t.Context(), o)
			require.Error(t, err)
			require.NotContains(t, err.Error(), "secretword")
		})
	}
	client, err := vault.Open(t.Context(), good)
	require.NoError(t, err)
	client.Close()
}
