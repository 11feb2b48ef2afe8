package token

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"math/big"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// keySizes are the modulus sizes, in bits, that signatures are compared at:
// the bounds, multiples of a machine word and not, of a byte and not.
var keySizes = []int{MinKeyBits, 2049, 2056, 3072, MaxKeyBits}

// privateKey is of many small primes: made at once at any size, and to those
// who know the public half a key like any other.
type privateKey struct {
	public rsa.PublicKey
	primes []*big.Int
	powers []*big.Int // by prime: the private exponent
	bases  []*big.Int // by prime: 1 modulo it, 0 modulo the others
}

var sizedKeys = sync.OnceValue(func() []*privateKey {
	keys := make([]*privateKey, len(keySizes))
	for i, bits := range keySizes {
		keys[i] = makeKey(bits, Exponent)
	}
	return keys
})

var one = big.NewInt(1)

func makeKey(bits, e int) *privateKey {
	k := &privateKey{public: rsa.PublicKey{N: one, E: e}}
	for tries := 0; k.public.N.BitLen() != bits; tries++ {
		left := bits - k.public.N.BitLen()
		size := left + tries%2 // of the last one; the product of two numbers may be a bit shorter than both
		if left > 400 {
			size = 256
		}
		p, err := rand.Prime(rand.Reader, size)
		if err != nil {
			panic(err)
		}
		n := new(big.Int).Mul(k.public.N, p)
		coprime := new(big.Int).GCD(nil, nil, big.NewInt(int64(e)), new(big.Int).Sub(p, one)).Cmp(one) == 0
		if coprime && (left > 400 || n.BitLen() == bits) {
			k.public.N, k.primes = n, append(k.primes, p)
		}
	}
	for _, p := range k.primes {
		rest := new(big.Int).Div(k.public.N, p)
		k.powers = append(k.powers, new(big.Int).ModInverse(big.NewInt(int64(e)), new(big.Int).Sub(p, one)))
		k.bases = append(k.bases, rest.Mul(rest, new(big.Int).ModInverse(rest, p)))
	}
	return k
}

// sign gives the number whose power is em, which is below n, by the Chinese
// remainder theorem.
func (k *privateKey) sign(em []byte) []byte {
	m, s := new(big.Int).SetBytes(em), new(big.Int)
	for i, p := range k.primes {
		part := new(big.Int).Exp(new(big.Int).Mod(m, p), k.powers[i], p)
		s.Add(s, part.Mul(part, k.bases[i]))
	}
	return s.Mod(s, k.public.N).FillBytes(make([]byte, k.public.Size()))
}

// sameAsLibrary holds the property that matters: Verify accepts exactly what
// crypto/rsa accepts.
func sameAsLibrary(t testing.TB, key *Key, digest [sha256.Size]byte, signature []byte, what string) (accepted bool) {
	t.Helper()
	accepted = rsa.VerifyPKCS1v15(key.Public(), crypto.SHA256, digest[:], signature) == nil
	require.Equal(t, accepted, key.Verify(digest, signature), what)
	narrow := Key{public: key.public, modulus: key.modulus} // as on a processor without IFMA
	require.Equal(t, accepted, narrow.Verify(digest, signature), what)
	return accepted
}

func TestVerifyAcceptsWhatCryptoRSADoes(t *testing.T) {
	digest := sha256.Sum256([]byte("a message"))
	for _, private := range sizedKeys() {
		key := NewKey(&private.public)
		require.NotNil(t, key.modulus)
		size := private.public.Size()
		bits := private.public.N.BitLen()
		good := private.sign(encode(make([]byte, size), &digest))
		require.True(t, sameAsLibrary(t, key, digest, good, "good"), bits)
		refused := func(what string, signature []byte) {
			t.Helper()
			require.False(t, sameAsLibrary(t, key, digest, signature, what), "%s, %d bits", what, bits)
		}

		// Values at the edges, in as many bytes as the modulus has.
		number := func(n *big.Int) []byte { return n.FillBytes(make([]byte, size)) }
		plus := func(n *big.Int, by int64) *big.Int { return new(big.Int).Add(n, big.NewInt(by)) }
		refused("0", make([]byte, size))
		refused("1", number(big.NewInt(1)))
		refused("n-1", number(plus(private.public.N, -1)))
		refused("n", number(private.public.N))
		refused("n+1", number(plus(private.public.N, 1)))
		refused("all ones", bytes.Repeat([]byte{0xff}, size))
		s := new(big.Int).SetBytes(good)
		refused("n-s", number(new(big.Int).Sub(private.public.N, s)))
		if unreduced := new(big.Int).Add(s, private.public.N); (unreduced.BitLen()+7)/8 <= size {
			refused("s+n", number(unreduced))
		}

		// Lengths.
		refused("nothing", nil)
		refused("one byte", []byte{1})
		refused("short", good[:size-1])
		refused("without its first byte", good[1:])
		refused("long", append(bytes.Clone(good), 0))
		refused("a zero before it", append([]byte{0}, good...))
		refused("s+n, a byte more", new(big.Int).Add(s, new(big.Int).Lsh(private.public.N, 8)).FillBytes(make([]byte, size+2)))

		// Another digest.
		other := sha256.Sum256([]byte("another message"))
		require.False(t, sameAsLibrary(t, key, other, good, "another digest"))
	}
}

// Each of these is the private key's own work over a wrong encoding: what a
// verifier that parsed the padding might have taken (CVE-2006-4339 and kin).
func TestVerifyRefusesOtherEncodings(t *testing.T) {
	digest := sha256.Sum256([]byte("a message"))
	for _, private := range sizedKeys() {
		key, size := NewKey(&private.public), private.public.Size()
		em := encode(make([]byte, size), &digest)
		require.True(t, sameAsLibrary(t, key, digest, private.sign(em), "the right one"))
		for at := range em {
			for _, change := range []byte{1 << (at % 8), 0xff} {
				wrong := bytes.Clone(em)
				wrong[at] ^= change
				if size > MinKeyBits/8 && at > 16 && at < size-64 && at%32 != 0 {
					continue // the filling, of which one byte is like another
				}
				if new(big.Int).SetBytes(wrong).Cmp(private.public.N) >= 0 {
					continue
				}
				require.False(t, sameAsLibrary(t, key, digest, private.sign(wrong), fmt.Sprintf("byte %d ^ %#x", at, change)))
			}
		}
		tail := append(bytes.Clone(digestInfo), digest[:]...)
		build := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
		filled := func(n int) []byte { return bytes.Repeat([]byte{0xff}, n) }
		withoutNull := build([]byte{0x30, 0x2f, 0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x04, 0x20}, digest[:])
		for what, wrong := range map[string][]byte{
			"garbage behind the digest":    build([]byte{0, 1}, filled(8), []byte{0}, tail, make([]byte, size-11-len(tail))),
			"filling cut short":            build([]byte{0, 1}, filled(size-4-len(tail)), []byte{0, 0}, tail),
			"block type 2":                 build([]byte{0, 2}, filled(size-3-len(tail)), []byte{0}, tail),
			"block type 0":                 build([]byte{0, 0}, make([]byte, size-3-len(tail)), []byte{0}, tail),
			"no NULL":                      build([]byte{0, 1}, filled(size-3-len(withoutNull)), []byte{0}, withoutNull),
			"the digest alone":             build([]byte{0, 1}, filled(size-3-len(digest)), []byte{0}, digest[:]),
			"no separator":                 build([]byte{0, 1}, filled(size-2-len(tail)), tail),
			"BER, length in the long form": build([]byte{0, 1}, filled(size-4-len(tail)), []byte{0, 0x30, 0x81, 0x31}, tail[2:]),
		} {
			require.Len(t, wrong, size, what)
			require.False(t, sameAsLibrary(t, key, digest, private.sign(wrong), what), "%s, %d bits", what, private.public.N.BitLen())
		}
	}
}

// Keys that are not fit to use are crypto/rsa's to judge, as they always were.
func TestKeysThatAreNotFit(t *testing.T) {
	digest := sha256.Sum256([]byte("a message"))
	good := testKeys()[0]
	unfit := func(change func(*rsa.PublicKey)) *Key {
		public := rsa.PublicKey{N: new(big.Int).Set(good.N), E: good.E}
		change(&public)
		return NewKey(&public)
	}
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	for what, key := range map[string]*Key{
		"small":        NewKey(&small.PublicKey),
		"e is 3":       unfit(func(k *rsa.PublicKey) { k.E = 3 }),
		"e is 1":       unfit(func(k *rsa.PublicKey) { k.E = 1 }),
		"e is even":    unfit(func(k *rsa.PublicKey) { k.E = 65536 }),
		"n is even":    unfit(func(k *rsa.PublicKey) { k.N.SetBit(k.N, 0, 0) }),
		"n is nothing": unfit(func(k *rsa.PublicKey) { k.N = nil }),
		"n is 0":       unfit(func(k *rsa.PublicKey) { k.N = new(big.Int) }),
		"n is below 0": unfit(func(k *rsa.PublicKey) { k.N.Neg(k.N) }),
		"too large":    unfit(func(k *rsa.PublicKey) { k.N.SetBit(k.N, MaxKeyBits, 1) }),
	} {
		require.Nil(t, key.modulus, what)
		for _, length := range []int{0, 128, 256, 513} {
			require.False(t, key.Verify(digest, make([]byte, length)), what)
		}
	}
	signature, err := rsa.SignPKCS1v15(nil, small, crypto.SHA256, digest[:])
	require.NoError(t, err)
	require.True(t, sameAsLibrary(t, NewKey(&small.PublicKey), digest, signature, "small"))

	cube := makeKey(MinKeyBits, 3)
	signature = cube.sign(encode(make([]byte, cube.public.Size()), &digest))
	require.True(t, sameAsLibrary(t, NewKey(&cube.public), digest, signature, "e is 3"))
	signature[len(signature)-1] ^= 1
	require.False(t, sameAsLibrary(t, NewKey(&cube.public), digest, signature, "e is 3"))
}

// FuzzVerifySignature compares Verify with crypto/rsa on signatures that are
// anything, on encodings that the private key really signed, and on moduli that
// nobody made primes for.
func FuzzVerifySignature(f *testing.F) {
	message := []byte("a message")
	digest := sha256.Sum256(message)
	for i, private := range sizedKeys() {
		good := private.sign(encode(make([]byte, private.public.Size()), &digest))
		f.Add(uint8(i), message, good, []byte(nil))
		f.Add(uint8(i), message, encode(make([]byte, private.public.Size()), &digest), private.public.N.Bytes())
		f.Add(uint8(i), message, private.public.N.Bytes(), []byte{1})
	}
	f.Fuzz(func(t *testing.T, which uint8, message, text, modulus []byte) {
		private := sizedKeys()[int(which)%len(keySizes)]
		key, digest := NewKey(&private.public), sha256.Sum256(message)
		sameAsLibrary(t, key, digest, text, "as it is")
		if new(big.Int).SetBytes(text).Cmp(private.public.N) < 0 {
			sameAsLibrary(t, key, digest, private.sign(text), "as an encoding")
		}
		odd := &rsa.PublicKey{N: new(big.Int).SetBytes(modulus[:min(len(modulus), 1<<10)]), E: Exponent}
		sameAsLibrary(t, NewKey(odd), digest, text, "under any modulus")
	})
}
