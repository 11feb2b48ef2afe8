package token

import (
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func (d *digits) number() *big.Int {
	n := new(big.Int)
	for i := len(d) - 1; i >= 0; i-- {
		n.Add(n.Lsh(n, digitBits), new(big.Int).SetUint64(d[i]))
	}
	return n
}

func digitsOf(n *big.Int) *digits {
	var d digits
	for i := range d {
		digit := new(big.Int).Rsh(n, uint(i*digitBits))
		d[i] = new(big.Int).And(digit, big.NewInt(digitMask)).Uint64()
	}
	return &d
}

// Products of numbers up to twice the modulus, which is where they stay: all
// ones, all zeros, runs of both, and anything.
func TestMontgomery(t *testing.T) {
	if !hasIFMA {
		return // NewKey does not use it either
	}
	random := rand.New(rand.NewPCG(1, 2))
	runs := func(bits int) *big.Int {
		n := new(big.Int)
		for n.BitLen() < bits {
			length := uint(1 + random.IntN(200))
			n.Lsh(n, length)
			if random.IntN(2) == 0 || n.BitLen() == 0 {
				n.Add(n, new(big.Int).Sub(new(big.Int).Lsh(one, length), one))
			}
		}
		return n.Rsh(n, uint(n.BitLen()-bits))
	}
	anything := func(bits int) *big.Int {
		n := big.NewInt(1)
		for n.BitLen() < bits {
			n.Add(n.Lsh(n, 32), big.NewInt(int64(random.Uint32())))
		}
		return n.Rsh(n, uint(n.BitLen()-bits))
	}
	r := new(big.Int).Lsh(one, 2080)
	for round := range 40 {
		n := [...]func(int) *big.Int{runs, anything}[round%2](2048)
		n.SetBit(n, 0, 1)
		inverse := new(big.Int).ModInverse(r, n)
		m := newIFMA(n)
		require.Equal(t, n, m.n.number())
		require.Equal(t, new(big.Int).Mod(new(big.Int).Mul(r, r), n), m.rr.number())
		twice := new(big.Int).Lsh(n, 1)
		numbers := []*big.Int{big.NewInt(0), one, new(big.Int).Sub(n, one), n, new(big.Int).Sub(twice, one), new(big.Int).Mod(runs(2049), twice), anything(2048)}
		for _, a := range numbers {
			for _, b := range numbers {
				out := *digitsOf(a)
				montgomery52(&out, &out, digitsOf(b), &m.n, m.k0)
				got := out.number()
				for _, digit := range out {
					require.LessOrEqual(t, digit, uint64(digitMask))
				}
				require.Negative(t, got.Cmp(twice))
				want := new(big.Int).Mul(a, b)
				want.Mod(want.Mul(want, inverse), n)
				require.Zero(t, want.Cmp(new(big.Int).Mod(got, n)), "%x * %x mod %x", a, b, n)
			}
		}
	}
}
