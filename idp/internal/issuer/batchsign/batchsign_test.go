package batchsign

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"os"
	"os/exec"
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
	_, err := Open(nil)
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
	key.square(s, &before, &before)
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
	left := *s
	left.blind, left.unblind, left.blinded, left.encoded = lanes{}, lanes{}, 0, signature{}
	require.Zero(t, left)
}

// A fault in any digit of any lane, at any of the steps that compute with the key,
// lets no signature out.
func TestEveryFaultIsFound(t *testing.T) {
	key, err := NewKey(known(t))
	require.NoError(t, err)
	s := new(pass)
	digests := randomDigests(t)
	var out [4]signature
	require.NoError(t, key.refresh(s))
	for lane := range 8 {
		for j := range digits {
			bit := uint64(1) << uint((7*lane+13*j)%50)
			for step, fault := range map[string]func(){
				"the message":   func() { s.message[j][lane] ^= bit },
				"the power":     func() { s.power[j][lane] ^= bit },
				"a table entry": func() { s.table[1][j][lane] ^= bit },
				"the blinding":  func() { s.unblind[j][lane] ^= bit },
			} {
				if digits-1 == j {
					bit &= 1<<30 - 1 // the highest digit has 36 bits
				}
				require.NoError(t, key.refresh(s))
				kept := *s
				key.encode(s, &digests)
				switch step {
				case "the message":
					fault()
					key.raise(s)
				case "the power":
					key.raise(s)
					fault()
				case "a table entry":
					multiply(&s.power, &s.message, &s.blind, &key.c.m, &key.c.inverse)
					faultyExponentiate(key, s, fault)
				case "the blinding":
					fault()
					key.raise(s)
				}
				key.combine(s, &out)
				if bit != 0 {
					require.False(t, key.proves(s, &digests, &out), "%s, lane %d, digit %d", step, lane, j)
				}
				s.blind, s.unblind = kept.blind, kept.unblind
			}
		}
	}
}

// faultyExponentiate is raise with a fault in the table.
func faultyExponentiate(k *Key, s *pass, fault func()) {
	k.exponentiate(s, &s.spot, &s.power, k.d)
	fault()
	pick(&s.power, &s.table, &k.d[0])
	for i := 1; i < windowCount; i++ {
		for range windowBits {
			k.square(s, &s.power, &s.power)
		}
		pick(&s.spot, &s.table, &k.d[i])
		k.multiply(&s.power, &s.power, &s.spot)
	}
	k.multiply(&s.power, &s.power, &s.unblind)
	k.multiply(&s.power, &s.power, &k.c.unit)
}

// Keys that the kernels were not made for are refused.
func TestForeignKeysAreRefused(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 3072)
	require.NoError(t, err)
	_, err = NewKey(small)
	require.ErrorIs(t, err, errKey)
	other := *known(t)
	other.E = 3
	_, err = NewKey(&other)
	require.ErrorIs(t, err, errKey)
	other = *known(t)
	other.Primes = append(other.Primes, other.Primes[0])
	_, err = NewKey(&other)
	require.ErrorIs(t, err, errKey)
}

// Callers at once get each their own signature, in passes of up to four.
func TestManyCallers(t *testing.T) {
	opened, err := Open(known(t))
	require.NoError(t, err)
	s := opened.(*Signer)
	var callers sync.WaitGroup
	for range 64 {
		callers.Go(func() {
			for range 20 {
				digests := randomDigests(t)
				signed, err := s.Sign(nil, digests[0][:], crypto.SHA256)
				if err != nil || rsa.VerifyPKCS1v15(&s.private.PublicKey, crypto.SHA256, digests[0][:], signed) != nil {
					t.Error("not a signature of this digest", err)
				}
			}
		})
	}
	callers.Wait()
	require.Zero(t, s.passes)
	require.Empty(t, s.waiting)
	require.LessOrEqual(t, len(s.free), s.limit)
	require.Less(t, s.begun, uint64(64*20), "some went together")
	require.GreaterOrEqual(t, s.begun, uint64(64*20/4))
	require.Zero(t, Faults())
}

// After one fault crypto/rsa signs, for all keys of the process.
func TestAFaultTurnsItOff(t *testing.T) {
	opened, err := Open(known(t))
	require.NoError(t, err)
	s := opened.(*Signer)
	t.Cleanup(func() { faults.Store(0) })
	s.key.d[100][5] ^= 1
	digests := randomDigests(t)
	for range 3 {
		signed, err := s.Sign(rand.Reader, digests[0][:], crypto.SHA256)
		require.NoError(t, err)
		require.NoError(t, rsa.VerifyPKCS1v15(&s.private.PublicKey, crypto.SHA256, digests[0][:], signed))
	}
	require.EqualValues(t, 1, Faults())
	require.EqualValues(t, 1, s.begun)
	_, err = Open(known(t))
	require.ErrorIs(t, err, errFault)
}

func TestOnlyWhatItWasMadeForIsSigned(t *testing.T) {
	s, err := Open(known(t))
	require.NoError(t, err)
	digests := randomDigests(t)
	_, err = s.Sign(rand.Reader, digests[0][:31], crypto.SHA256)
	require.Error(t, err)
	_, err = s.Sign(rand.Reader, digests[0][:], crypto.SHA512)
	require.Error(t, err)
	_, err = s.Sign(rand.Reader, digests[0][:], &rsa.PSSOptions{Hash: crypto.SHA256})
	require.Error(t, err)
}

// What the kernels read lies on cache lines' borders: else each load takes two.
func TestMemoryIsAligned(t *testing.T) {
	for range 20 {
		opened, err := Open(known(t))
		require.NoError(t, err)
		s := opened.(*Signer)
		require.Zero(t, uintptr(unsafe.Pointer(s.key.c))%64)
		require.Zero(t, uintptr(unsafe.Pointer(s.key.d))%64)
		_, err = s.Sign(nil, knownKey[:32], crypto.SHA256)
		require.NoError(t, err)
		require.Zero(t, uintptr(unsafe.Pointer(s.free[0]))%64)
	}
	require.Zero(t, unsafe.Offsetof(constants{}.inverse)%64)
	require.Zero(t, unsafe.Offsetof(pass{}.unblind)%64)
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
	s, err := Open(known(b))
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
