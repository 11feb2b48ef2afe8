package auditlog_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sentryagent/agentidp/idp/internal/auditlog"
	"github.com/sentryagent/agentidp/shared/apierr"
)

func TestProofsHoldAgainstASignedCheckpoint(t *testing.T) {
	f := newFixture(t)
	f.append(21)
	verifier, err := note.NewVerifier(f.log.VerifierKey())
	require.NoError(t, err)
	require.Equal(t, "idp.example.com/audit", verifier.Name())
	var tree tlog.Tree
	eventually(t, "a checkpoint of 21 events", func() bool {
		signed, err := f.log.Checkpoint(t.Context())
		if err != nil {
			return false
		}
		tree, err = auditlog.ParseCheckpoint(signed, verifier)
		require.NoError(t, err)
		return tree.N == 21
	})
	for i, e := range f.all() {
		proof, err := f.log.Inclusion(t.Context(), int64(i), 0)
		require.NoError(t, err)
		require.Equal(t, tree.N, proof.TreeSize)
		require.Equal(t, tree.Hash, proof.RootHash)
		body, err := f.log.Get(t.Context(), "", e.EventID)
		require.NoError(t, err)
		require.NoError(t, tlog.CheckRecord(proof.Hashes, proof.TreeSize, tree.Hash, int64(i), tlog.RecordHash(body)))
		body[len(body)-2] ^= 1
		require.Error(t, tlog.CheckRecord(proof.Hashes, proof.TreeSize, tree.Hash, int64(i), tlog.RecordHash(body)))
	}
	for first := int64(1); first <= 21; first++ {
		proof, err := f.log.Consistency(t.Context(), first, 21)
		require.NoError(t, err)
		require.NoError(t, tlog.CheckTree(proof.Hashes, 21, tree.Hash, first, proof.FirstRoot))
	}
	copied, err := os.ReadFile(f.checkpointFile())
	require.NoError(t, err)
	_, err = auditlog.ParseCheckpoint(copied, verifier)
	require.NoError(t, err)
}

func TestProofsOfWhatIsNotThere(t *testing.T) {
	f := newFixture(t)
	_, err := f.log.Checkpoint(t.Context())
	require.True(t, apierr.Is(err, apierr.NotFound), err)
	f.append(3)
	for _, row := range []struct{ index, size int64 }{{-1, 0}, {3, 0}, {0, 4}, {2, 2}} {
		_, err := f.log.Inclusion(t.Context(), row.index, row.size)
		require.True(t, apierr.Is(err, apierr.ValidationFailed), row)
	}
	for _, row := range []struct{ first, second int64 }{{0, 3}, {3, 2}, {1, 4}} {
		_, err := f.log.Consistency(t.Context(), row.first, row.second)
		require.True(t, apierr.Is(err, apierr.ValidationFailed), row)
	}
}

func FuzzParseCheckpoint(f *testing.F) {
	signer, verifier := noteKey(f)
	good, err := note.Sign(&note.Note{Text: "log.example/audit\n7\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"}, signer)
	require.NoError(f, err)
	f.Add(good)
	f.Add([]byte("log.example/audit\n7\nAAAA\n\n— log.example/audit x\n"))
	f.Fuzz(func(t *testing.T, signed []byte) {
		tree, err := auditlog.ParseCheckpoint(signed, verifier)
		if err == nil {
			require.EqualValues(t, 7, tree.N, "only what was signed is believed")
		}
	})
}

func TestParseCheckpointIsStrict(t *testing.T) {
	signer, verifier := noteKey(t)
	for _, text := range []string{
		"other/audit\n7\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
		"log.example/audit\n07\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
		"log.example/audit\n-7\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
		"log.example/audit\n7\nAAAA\n",
		"log.example/audit\n7\n",
	} {
		signed, err := note.Sign(&note.Note{Text: text}, signer)
		require.NoError(t, err)
		_, err = auditlog.ParseCheckpoint(signed, verifier)
		require.Error(t, err, text)
	}
}

func noteKey(tb testing.TB) (note.Signer, note.Verifier) {
	tb.Helper()
	skey, vkey, err := note.GenerateKey(nil, "log.example/audit")
	require.NoError(tb, err)
	signer, err := note.NewSigner(skey)
	require.NoError(tb, err)
	verifier, err := note.NewVerifier(vkey)
	require.NoError(tb, err)
	return signer, verifier
}
