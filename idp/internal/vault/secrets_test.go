package vault_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/idp/internal/vault"
)

const (
	first  = "aidp_sk_first0000000000000000000000000000000000000000"
	second = "aidp_sk_second000000000000000000000000000000000000000"
)

func TestSecretIsProvenByItsDigest(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s, id := w.open().Secrets(), newID()
		encoded := w.hash(s, id, first)
		require.True(t, w.verifies(s, encoded, first))
		require.False(t, w.verifies(s, encoded, first+"x"))
		require.False(t, w.verifies(s, encoded, ""))
		require.True(t, s.Candidate(encoded, first))

		// Vault has the digest and not the key, the row has the key and not the digest.
		kept := w.server.Text(t, w.mount, "agentidp/credentials/"+id)
		digest := strings.TrimSuffix(strings.TrimPrefix(kept, "map[hmacSha256:"), "]")
		require.Len(t, digest, 43)
		require.NotContains(t, encoded, digest)
		require.NotContains(t, kept, encoded[strings.LastIndex(encoded, "$")+1:])
		w.hide(digest)

		// A second client, as after a restart, needs the row alone.
		require.True(t, w.verifies(w.open().Secrets(), encoded, first))
	})
}

func TestRotationKeepsTheVersionsApart(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s, id := w.open().Secrets(), newID()
		old := w.hash(s, id, first)
		next := w.hash(s, id, second)
		require.True(t, w.verifies(s, old, first), "good for the overlap")
		require.True(t, w.verifies(s, next, second))
		require.False(t, w.verifies(s, old, second))
		require.False(t, w.verifies(s, next, first))
		require.NotEqual(t, old, w.hash(s, id, first), "a key for each")
		require.Equal(t, 3, w.server.Versions(t, w.mount, "agentidp/credentials/"+id))
	})
}

func TestManyRotationsPruneNothingInUse(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s, id := w.open().Secrets(), newID()
		live := w.hash(s, id, first)
		for range 20 { // Vault's own default keeps 10
			w.hash(s, id, second)
		}
		require.True(t, w.verifies(s, live, first))
	})
}

func TestOfTwoRotationsOneWins(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s, id := w.open().Secrets(), newID()
		w.hash(s, id, first)
		w.hide(second)
		// Both learn the newest version before either writes.
		var both sync.WaitGroup
		both.Add(2)
		w.proxy.Before(func(r *http.Request) {
			if r.Method == http.MethodPut {
				both.Done()
				both.Wait()
			}
		})
		errs := make(chan error, 2)
		for range 2 {
			go func() {
				_, err := s.Hash(t.Context(), id, second)
				errs <- err
			}()
		}
		var lost []error
		for range 2 {
			if err := <-errs; err != nil {
				lost = append(lost, w.err(err))
			}
		}
		require.Len(t, lost, 1)
		require.ErrorIs(t, lost[0], vault.ErrConflict)
		require.ErrorIs(t, lost[0], idp.ErrConflict)
		require.Equal(t, 2, w.server.Versions(t, w.mount, "agentidp/credentials/"+id))
	})
}

func TestDelete(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s, id := w.open().Secrets(), newID()
		old, next := w.hash(s, id, first), w.hash(s, id, second)
		for range 2 {
			require.NoError(t, s.Delete(t.Context(), old))
			w.lost(s, old, first)
			require.True(t, w.verifies(s, next, second), "the other version lives")
		}
		for range 2 {
			require.NoError(t, s.DeleteCredential(t.Context(), id))
			w.lost(s, next, second)
			require.Zero(t, w.server.Versions(t, w.mount, "agentidp/credentials/"+id))
		}
		require.NoError(t, s.Delete(t.Context(), next))
	})
}

// What an operator takes away in Vault authenticates no more, and is nobody's
// wrong secret: only one that the mark rules out is.
func TestHiddenInVault(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s, id := w.open().Secrets(), newID()
		encoded := w.hash(s, id, first)
		w.server.DeleteNewest(t, w.mount, "agentidp/credentials/"+id)
		w.lost(s, encoded, first)
		wrong := first
		for s.Candidate(encoded, wrong) {
			wrong += "x"
		}
		require.False(t, w.verifies(s, encoded, wrong))
	})
}

func TestEqualWork(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s := w.open().Secrets()
		encoded := w.hash(s, newID(), first)
		for range 2 { // the second finds the entry
			decoy, err := s.Decoy(t.Context())
			require.NoError(t, err)
			w.proxy.Requests()
			require.False(t, w.verifies(s, decoy, first))
			require.Len(t, w.proxy.Requests(), 1)
		}
		require.Equal(t, 1, w.server.Versions(t, w.mount, "agentidp/credentials/decoy"), "a read of what is there")
		require.True(t, w.verifies(s, encoded, first))
		require.Len(t, w.proxy.Requests(), 1)

		// Another replica finds the entry and cannot match it.
		other := w.open().Secrets()
		decoy, err := other.Decoy(t.Context())
		require.NoError(t, err)
		require.False(t, w.verifies(other, decoy, first))

		w.proxy.Instead(func(rw http.ResponseWriter, _ *http.Request) { http.Error(rw, "{}", http.StatusBadGateway) })
		decoy, err = s.Decoy(t.Context())
		require.ErrorIs(t, err, vault.ErrUnavailable)
		w.unavailable(s, decoy, first)
	})
}

// A fault is neither a wrong secret nor an outage.
func TestFaultsAreNoVerdict(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		id := newID()
		s := w.open().Secrets()
		encoded := w.hash(s, id, first)
		fault := func(s *vault.Secrets, encoded string) {
			t.Helper()
			_, err := s.Verify(t.Context(), encoded, first)
			require.Error(t, w.err(err))
			require.NotErrorIs(t, err, store.ErrUnavailable)
		}
		for _, data := range []map[string]any{{}, {"hmacSha256": "AAAA"}, {"hmacSha256": "not base64 at all, this is not"}, {"hmacSha256": 7}} {
			other := newID()
			w.server.Write(t, w.mount, "agentidp/credentials/"+other, 0, data)
			fault(s, strings.Replace(encoded, id, other, 1))
		}
		w.options.Mount = "nowhere"
		fault(w.open().Secrets(), encoded)

		for _, text := range []string{
			"", "v1", "v2" + encoded[2:], strings.Replace(encoded, id, "../"+id, 1), strings.Replace(encoded, id, "", 1), encoded + "=", encoded + "$",
			strings.Replace(encoded, "$1$", "$0$", 1), strings.Replace(encoded, "$1$", "$x$", 1), "v1$zz" + encoded[5:],
		} {
			fault(s, text)
			require.False(t, s.Candidate(text, first))
			require.Error(t, w.err(s.Delete(t.Context(), text)))
		}
		for _, id := range []string{"", "decoy", "a/b", "..", "a?b", "a%2fb", strings.Repeat("a", 65)} {
			_, err := s.Hash(t.Context(), id, first)
			require.Error(t, w.err(err))
			require.Error(t, w.err(s.DeleteCredential(t.Context(), id)))
		}
	})
}

// While two secrets are good the mark tells which to read.
func TestCandidate(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s := w.open().Secrets()
		encoded := w.hash(s, newID(), first)
		w.proxy.Requests()
		misses := 0
		for i := range 200 {
			if !s.Candidate(encoded, second+string(rune('a'+i%26))+strings.Repeat("z", i/26)) {
				misses++
			}
		}
		require.Greater(t, misses, 180)
		require.Empty(t, w.proxy.Requests())
	})
}
