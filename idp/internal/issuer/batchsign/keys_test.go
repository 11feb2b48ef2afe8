package batchsign

import (
	"crypto/rsa"
	"math/big"
	mathrand "math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// keyOf is the key of two primes.
func keyOf(t testing.TB, p, q *big.Int) *rsa.PrivateKey {
	t.Helper()
	one := big.NewInt(1)
	totient := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
	k := &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: exponent},
		D:         new(big.Int).ModInverse(big.NewInt(exponent), totient),
		Primes:    []*big.Int{p, q},
	}
	k.Precompute()
	require.NoError(t, k.Validate())
	return k
}

// primeNear is the first prime from a number on, in steps.
func primeNear(from *big.Int, step int64) *big.Int {
	p := new(big.Int).Set(from)
	for !p.ProbablyPrime(20) || new(big.Int).Mod(p, big.NewInt(exponent)).Cmp(big.NewInt(1)) == 0 {
		p.Add(p, big.NewInt(step))
	}
	return p
}

// high is a random odd number of 1,024 bits, of which the first two are ones.
func high(t testing.TB) *big.Int {
	t.Helper()
	m := randomModulus(t)
	return m.SetBit(m, 1022, 1)
}

// lastByte is a prime that ends with it.
func lastByte(t testing.TB, last int64) *big.Int {
	t.Helper()
	n := high(t)
	return primeNear(n.Add(n.Rsh(n, 8).Lsh(n, 8), big.NewInt(last)), 256)
}

// sparse is a prime whose dP has a dozen bits, of which first (6 or 7) are the
// highest: e*dP is 1 modulo p-1 for dP = 1 +
// 2^16*s and p = 2 + e*s.
func sparse(t testing.TB, first int64) *big.Int {
	t.Helper()
	for {
		s := new(big.Int).Lsh(big.NewInt(first), 1005)
		s.SetBit(s, 0, 1)
		for range 6 {
			s.SetBit(s, 1+mathrand.IntN(1000), 1)
		}
		p := new(big.Int).Mul(s, big.NewInt(exponent))
		if p.Add(p, big.NewInt(2)).ProbablyPrime(20) && p.BitLen() == 1024 {
			return p
		}
	}
}

var (
	shapesOnce sync.Once
	shapesMade map[string]*rsa.PrivateKey
)

// shapes are keys that a random one is hardly ever.
func shapes(t testing.TB) map[string]*rsa.PrivateKey {
	t.Helper()
	shapesOnce.Do(func() { shapesMade = makeShapes(t) })
	return shapesMade
}

func makeShapes(t testing.TB) map[string]*rsa.PrivateKey {
	t.Helper()
	ones := less(twoTo(1024), 1)
	apart := twoTo(926) // nearer ones crypto/rsa refuses
	root := new(big.Int).Sqrt(twoTo(2047))
	root.SetBit(root.Add(root, big.NewInt(2)), 0, 1)
	return map[string]*rsa.PrivateKey{
		"p ends with 1":       keyOf(t, lastByte(t, 1), lastByte(t, 0xff)),
		"q ends with 1":       keyOf(t, lastByte(t, 0x55), lastByte(t, 1)),
		"all ones, p above q": keyOf(t, primeNear(ones, -2), primeNear(new(big.Int).Sub(ones, apart), -2)),
		"p below q":           keyOf(t, primeNear(root, 2), primeNear(ones, -2)),
		"the least":           keyOf(t, primeNear(new(big.Int).Add(root, apart), 2), primeNear(root, 2)),
		"sparse exponents":    keyOf(t, sparse(t, 7), sparse(t, 6)),
	}
}

// Keys of every shape sign as crypto/rsa does, with a blinding made anew each time.
func TestKeysOfEveryShape(t *testing.T) {
	for name, private := range shapes(t) {
		t.Run(name, func(t *testing.T) {
			key, err := NewKey(private)
			require.NoError(t, err)
			s := new(pass)
			for range 10 {
				requireSame(t, private, key, s)
				s.blinded = 0
			}
		})
	}
}
