package batchsign

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// verifyByHand is RSASSA-PKCS1-V1_5-VERIFY (RFC 8017 section 8.2.2) in math/big. It
// shares nothing with the kernels, nor with crypto/rsa.
func verifyByHand(public *rsa.PublicKey, hash digest, signed []byte) bool {
	n := new(big.Int).SetBytes(signed)
	if len(signed) != public.Size() || n.Cmp(public.N) >= 0 {
		return false
	}
	encoded := make([]byte, public.Size())
	n.Exp(n, big.NewInt(int64(public.E)), public.N).FillBytes(encoded)
	info, err := hex.DecodeString("3031300d060960864801650304020105000420")
	tail := append(append([]byte{0}, info...), hash[:]...)
	want := []byte{0, 1}
	for len(want) < public.Size()-len(tail) {
		want = append(want, 0xff)
	}
	return err == nil && string(append(want, tail...)) == string(encoded)
}

// vectors are Project Wycheproof's. They are not in the repository: AGENTIDP_VECTORS
// names their folder, by default shared/vectors/wycheproof beside it.
type vectors struct {
	NumberOfTests int
	TestGroups    []struct {
		PublicKeyDer string
		Tests        []struct {
			TcID             int
			Result, Msg, Sig string
		}
	}
}

func loadVectors(t *testing.T) (file vectors, found bool) {
	folder := os.Getenv("AGENTIDP_VECTORS")
	promised := folder != "" || os.Getenv("CI") != ""
	if folder == "" {
		folder = filepath.Join("..", "..", "..", "..", "..", "shared", "vectors", "wycheproof")
	}
	raw, err := os.ReadFile(filepath.Join(folder, "rsa_signature_2048_sha256_test.json"))
	if errors.Is(err, fs.ErrNotExist) && !promised {
		t.Log("NOT RUN: set AGENTIDP_VECTORS to a folder of Wycheproof vectors (github.com/C2SP/wycheproof, testvectors_v1)")
		return file, false
	}
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, &file))
	return file, true
}

// Both verifiers that signatures are held to here give each verdict of Wycheproof.
func TestVerifiersStandWycheproof(t *testing.T) {
	file, found := loadVectors(t)
	if !found {
		return
	}
	run := 0
	for _, group := range file.TestGroups {
		der, err := hex.DecodeString(group.PublicKeyDer)
		require.NoError(t, err)
		parsed, err := x509.ParsePKIXPublicKey(der)
		require.NoError(t, err)
		key := parsed.(*rsa.PublicKey)
		for _, test := range group.Tests {
			message, err := hex.DecodeString(test.Msg)
			require.NoError(t, err)
			signed, err := hex.DecodeString(test.Sig)
			require.NoError(t, err)
			hash := sha256.Sum256(message)
			byHand := verifyByHand(key, hash, signed)
			byGo := rsa.VerifyPKCS1v15(key, crypto.SHA256, hash[:], signed) == nil
			require.Equal(t, byHand, byGo, test.TcID)
			if test.Result != "acceptable" {
				require.Equal(t, test.Result == "valid", byHand, test.TcID)
			}
			run++
		}
	}
	require.Equal(t, file.NumberOfTests, run)
	t.Logf("wycheproof RSA-2048 SHA-256: %d tests, 0 wrong", run)
}

// What is made here both accept, of keys of every shape; of another digest neither.
func TestSignaturesVerify(t *testing.T) {
	for name, private := range shapes(t) {
		key, err := NewKey(private)
		require.NoError(t, err)
		digests := randomDigests(t)
		digests[1], digests[2] = digest{}, digest([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"))
		var out [4]signature
		require.NoError(t, key.sign(new(pass), &digests, &out))
		for i := range out {
			require.True(t, verifyByHand(&private.PublicKey, digests[i], out[i][:]), name)
			require.NoError(t, rsa.VerifyPKCS1v15(&private.PublicKey, crypto.SHA256, digests[i][:], out[i][:]), name)
			require.False(t, verifyByHand(&private.PublicKey, digests[(i+1)%4], out[i][:]), name)
		}
	}
}
