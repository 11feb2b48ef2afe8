package batchsign

import (
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNumbers(t *testing.T) {
	ones, zero := less(twoTo(1024), 1), big.NewInt(0)
	for _, m := range []*big.Int{ones, new(big.Int).Add(twoTo(1023), big.NewInt(1))} {
		for _, n := range []*big.Int{zero, big.NewInt(1), less(m, 1), m, ones} {
			for _, a := range []*big.Int{zero, big.NewInt(1), ones} {
				requireNumbers(t, m, n, a, ones)
			}
		}
	}
	for range 500 {
		requireNumbers(t, randomModulus(t), randomBelow(t, twoTo(1024)), randomBelow(t, twoTo(1024)), randomBelow(t, twoTo(1024)))
	}
}

// requireNumbers holds what Go computes to math/big: m is odd, of 1,024 bits, and
// the others are below 2^1024.
func requireNumbers(t *testing.T, m, n, a, b *big.Int) {
	t.Helper()
	var raw [primeBytes]byte
	n.FillBytes(raw[:])
	var cut number
	cut.read(&raw)
	require.Equal(t, numberFrom(n), cut)

	modulus := numberFrom(m)
	for _, x := range []*big.Int{n, m, less(m, 1), less(doubled(m), 1), big.NewInt(0)} {
		corrected := numberFrom(x)
		corrected.correct(&modulus)
		want := new(big.Int).Set(x)
		if x.Cmp(m) >= 0 {
			want.Sub(x, m)
		}
		require.Zero(t, want.Cmp(corrected.big()))
	}
	residue := numberFrom(new(big.Int).Mod(n, m))
	residue.double(&modulus)
	require.Zero(t, new(big.Int).Mod(doubled(n), m).Cmp(residue.big()))

	var whole, read wide
	low, left, right := numberFrom(n), numberFrom(a), numberFrom(b)
	linear(&whole, &low, &left, &right)
	want := new(big.Int).Mul(a, b)
	want.Add(want, n) // at most (2^1024-1)*2^1024: below 2^2048
	var bytes signature
	whole.put(&bytes)
	require.Zero(t, want.Cmp(new(big.Int).SetBytes(bytes[:])))
	read.read(&bytes)
	require.Equal(t, whole, read)

	var bound wide
	for _, by := range []int64{-1, 0, 1} {
		if limit := new(big.Int).Add(want, big.NewInt(by)); limit.Sign() >= 0 && limit.BitLen() <= 2048 {
			limit.FillBytes(bytes[:])
			bound.read(&bytes)
			require.Equal(t, by > 0, whole.below(&bound) == 1<<64-1)
			require.Equal(t, by <= 0, whole.below(&bound) == 0)
		}
	}
	odd := n.Uint64() | 1
	require.EqualValues(t, uint64(digitMask), odd*negativeInverse(odd)&digitMask)
}

func FuzzNumbers(f *testing.F) {
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		take := func() *big.Int {
			part := make([]byte, primeBytes)
			data = data[copy(part, data):]
			return new(big.Int).SetBytes(part)
		}
		m := take()
		requireNumbers(t, m.SetBit(m, 1023, 1).SetBit(m, 0, 1), take(), take(), take())
	})
}
