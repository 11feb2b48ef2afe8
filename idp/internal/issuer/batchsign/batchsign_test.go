package batchsign

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// On a processor without the instructions all that can be held is that it says so.
func TestMain(m *testing.M) {
	if Available {
		os.Exit(m.Run())
	}
	_, err := Open(nil, runtime.GOMAXPROCS(0))
	fmt.Println("nothing else is tried on this processor:", err)
	if err == nil {
		os.Exit(1)
	}
}

func newKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 8*keyBytes)
	require.NoError(t, err)
	return private
}

func known(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	private, err := x509.ParsePKCS1PrivateKey(knownKey)
	require.NoError(t, err)
	return private
}

func randomDigests(t testing.TB) (digests [4]digest) {
	t.Helper()
	for i := range digests {
		_, err := rand.Read(digests[i][:])
		require.NoError(t, err)
	}
	return digests
}

// What is signed is byte for byte what crypto/rsa signs, by many keys.
func TestSignaturesAreThoseOfGo(t *testing.T) {
	require.NoError(t, knownAnswer())
	for range amount(4, 1000) {
		private := newKey(t)
		key, err := NewKey(private)
		require.NoError(t, err)
		s := new(pass)
		for range amount(20, 250) {
			requireSame(t, private, key, s)
		}
	}
}

func requireSame(t *testing.T, private *rsa.PrivateKey, key *Key, s *pass) {
	t.Helper()
	digests := randomDigests(t)
	var out [4]signature
	require.NoError(t, key.sign(s, &digests, &out))
	for i := range out {
		want, err := rsa.SignPKCS1v15(nil, private, crypto.SHA256, digests[i][:])
		require.NoError(t, err)
		require.True(t, bytes.Equal(want, out[i][:]), "digest %x", digests[i])
	}
}

// amount is the short form's, or the full one's: AGENTIDP_BATCHSIGN=full.
func amount(short, full int) int {
	if os.Getenv("AGENTIDP_BATCHSIGN") == "full" {
		return full
	}
	return short
}

// The blinding changes with each pass, and is made anew after the last it serves.
func TestBlinding(t *testing.T) {
	key, err := NewKey(known(t))
	require.NoError(t, err)
	s := new(pass)
	requireSame(t, known(t), key, s)
	before := s.blind
	requireSame(t, known(t), key, s)
	require.NotEqual(t, before, s.blind)
	s.blinded = 0
	before = s.blind
	key.c.square(s, &before, &before)
	requireSame(t, known(t), key, s)
	require.NotEqual(t, before, s.blind, "a new one")
	require.Equal(t, blindings-1, s.blinded)
}

// Of a pass nothing is left but the blinding.
func TestAPassIsWiped(t *testing.T) {
	key, err := NewKey(known(t))
	require.NoError(t, err)
	s := new(pass)
	requireSame(t, known(t), key, s)
	require.Zero(t, s.scratch)
	require.NotZero(t, s.blind)
}

// Keys that the kernels were not made for, or that are none, are refused.
func TestForeignKeysAreRefused(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 3072)
	require.NoError(t, err)
	_, err = NewKey(small)
	require.ErrorIs(t, err, errKey)
	_, err = NewKey(keyOf(t, primeNear(new(big.Int).Add(twoTo(1029), less(twoTo(1028), 1)), 2), primeNear(new(big.Int).Add(twoTo(1017), less(twoTo(1016), 1)), 2)))
	require.ErrorIs(t, err, errKey, "primes of 1,030 and 1,018 bits")
	unprepared := known(t)
	unprepared.Precomputed = rsa.PrecomputedValues{}
	_, err = NewKey(unprepared)
	require.ErrorIs(t, err, errKey)
	for name, spoil := range map[string]func(*rsa.PrivateKey){
		"another exponent":  func(k *rsa.PrivateKey) { k.E = 3 },
		"a third prime":     func(k *rsa.PrivateKey) { k.Primes = append(k.Primes, k.Primes[0]) },
		"primes exchanged":  func(k *rsa.PrivateKey) { k.Primes[0], k.Primes[1] = k.Primes[1], k.Primes[0] },
		"another dP":        func(k *rsa.PrivateKey) { k.Precomputed.Dp.SetBit(k.Precomputed.Dp, 3, k.Precomputed.Dp.Bit(3)^1) },
		"no dP":             func(k *rsa.PrivateKey) { k.Precomputed.Dp = nil },
		"dP of 1,100 bits":  func(k *rsa.PrivateKey) { k.Precomputed.Dp.SetBit(k.Precomputed.Dp, 1099, 1) },
		"another 1/q":       func(k *rsa.PrivateKey) { k.Precomputed.Qinv.SetInt64(1) },
		"another modulus":   func(k *rsa.PrivateKey) { k.N.SetBit(k.N, 77, k.N.Bit(77)^1) },
		"nothing but zeros": func(k *rsa.PrivateKey) { *k = rsa.PrivateKey{} },
	} {
		other := known(t)
		spoil(other)
		_, err = NewKey(other)
		require.Error(t, err, name)
		_, err = Open(other, runtime.GOMAXPROCS(0))
		require.Error(t, err, name)
	}
	require.Zero(t, Faults(), "no fault of this processor's")
}

// Callers at once get each their own signature, in passes of up to four.
func TestManyCallers(t *testing.T) {
	s := open(t)
	var callers sync.WaitGroup
	for range 64 {
		callers.Go(func() {
			for range 20 {
				signs(t, s)
			}
		})
	}
	callers.Wait()
	requireIdle(t, s)
	require.Less(t, s.begun, uint64(64*20), "some went together")
	require.GreaterOrEqual(t, s.begun, uint64(64*20/4))
	require.Zero(t, Faults())
}

func TestOnlyWhatItWasMadeForIsSigned(t *testing.T) {
	s, err := Open(known(t), runtime.GOMAXPROCS(0))
	require.NoError(t, err)
	digests := randomDigests(t)
	require.Equal(t, known(t).Public(), s.Public())
	for _, opts := range []crypto.SignerOpts{
		nil, crypto.SHA512, crypto.Hash(0), &rsa.PSSOptions{Hash: crypto.SHA256}, (*rsa.PSSOptions)(nil),
	} {
		_, err = s.Sign(rand.Reader, digests[0][:], opts)
		require.Error(t, err, "%v", opts)
	}
	for _, length := range []int{0, 31, 33, 64} {
		_, err = s.Sign(rand.Reader, make([]byte, length), crypto.SHA256)
		require.Error(t, err, length)
	}
}

// What the kernels read lies on cache lines' borders: else each load takes two.
func TestMemoryIsAligned(t *testing.T) {
	for range 20 {
		opened, err := Open(known(t), runtime.GOMAXPROCS(0))
		require.NoError(t, err)
		s := opened.(*Signer)
		require.Zero(t, uintptr(unsafe.Pointer(s.key.c))%64)
		require.Zero(t, uintptr(unsafe.Pointer(s.key.d))%64)
		_, err = s.Sign(nil, knownKey[:32], crypto.SHA256)
		require.NoError(t, err)
		require.Zero(t, uintptr(unsafe.Pointer(s.free[0]))%64)
	}
	require.Zero(t, unsafe.Offsetof(constants{}.inverse)%64)
	require.Zero(t, unsafe.Offsetof(pass{}.scratch)%64)
	require.Zero(t, unsafe.Offsetof(pass{}.spot)%64)
}

func TestTheKernelsAreTheGenerators(t *testing.T) {
	written, err := exec.CommandContext(t.Context(), "go", "run", "./gen").Output()
	require.NoError(t, err)
	kept, err := os.ReadFile("kernel_amd64.s")
	require.NoError(t, err)
	require.True(t, bytes.Equal(written, kept), "run `go generate` and commit what it changes")
}

func BenchmarkPass(b *testing.B) {
	key, err := NewKey(known(b))
	require.NoError(b, err)
	s := new(pass)
	digests := randomDigests(b)
	var out [4]signature
	for b.Loop() {
		require.NoError(b, key.sign(s, &digests, &out))
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(4*b.N), "ns/signature")
}

func BenchmarkSigner(b *testing.B) {
	s, err := Open(known(b), runtime.GOMAXPROCS(0))
	require.NoError(b, err)
	for _, callers := range []int{1, 4, 32} { // for each core
		b.Run(string(rune('0'+callers/10))+string(rune('0'+callers%10)), func(b *testing.B) {
			b.SetParallelism(callers)
			b.RunParallel(func(p *testing.PB) {
				digests := randomDigests(b)
				for p.Next() {
					if _, err := s.Sign(nil, digests[0][:], crypto.SHA256); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

// The same four by crypto/rsa.
func BenchmarkGo(b *testing.B) {
	private := known(b)
	digests := randomDigests(b)
	for b.Loop() {
		for i := range digests {
			_, err := rsa.SignPKCS1v15(nil, private, crypto.SHA256, digests[i][:])
			require.NoError(b, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(4*b.N), "ns/signature")
}
