package batchsign

import (
	"crypto/rand"
	"encoding/binary"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	radix   = new(big.Int).Lsh(big.NewInt(1), digits*digitBits)
	twoTo   = func(n uint) *big.Int { return new(big.Int).Lsh(big.NewInt(1), n) }
	less    = func(n *big.Int, by int64) *big.Int { return new(big.Int).Sub(n, big.NewInt(by)) }
	doubled = func(n *big.Int) *big.Int { return new(big.Int).Lsh(n, 1) }
)

// numberFrom cuts a number below R into digits.
func numberFrom(n *big.Int) (out number) {
	for j := range out {
		out[j] = new(big.Int).And(new(big.Int).Rsh(n, uint(digitBits*j)), big.NewInt(digitMask)).Uint64()
	}
	return out
}

func (n *number) big() *big.Int {
	out := new(big.Int)
	for j := digits - 1; j >= 0; j-- {
		out.Lsh(out, digitBits).Or(out, new(big.Int).SetUint64(n[j]))
	}
	return out
}

// operands are eight products to compute.
type operands struct{ a, b, m [8]*big.Int }

// requireProducts holds both kernels to math/big: the residue, the bound, and that
// each digit is one.
func requireProducts(t *testing.T, o operands) {
	t.Helper()
	var a, b, m, out lanes
	var inverse [8]uint64
	for lane := range 8 {
		for to, n := range map[*lanes]*big.Int{&a: o.a[lane], &b: o.b[lane], &m: o.m[lane]} {
			cut := numberFrom(n)
			to.set(lane, &cut)
		}
		inverse[lane] = negativeInverse(m[0][lane])
	}
	multiply(&out, &a, &b, &m, &inverse)
	requireResidues(t, &out, o.a, o.b, o.m)
	multiply(&out, &b, &a, &m, &inverse)
	requireResidues(t, &out, o.a, o.b, o.m)
	var product [2]lanes
	square(&out, &a, &m, &inverse, &product)
	requireResidues(t, &out, o.a, o.a, o.m)
	require.Zero(t, product, "it is wiped")
	multiply(&a, &a, &a, &m, &inverse)
	require.Equal(t, out, a, "in place, and a square as a product")
}

func requireResidues(t *testing.T, out *lanes, a, b, m [8]*big.Int) {
	t.Helper()
	for lane := range 8 {
		var got number
		out.get(lane, &got)
		for j := range got {
			require.LessOrEqual(t, got[j], uint64(digitMask))
		}
		exact := new(big.Int).Mul(a[lane], b[lane])
		want := new(big.Int).Mul(exact, new(big.Int).ModInverse(radix, m[lane]))
		want.Mod(want, m[lane])
		require.Zero(t, want.Cmp(new(big.Int).Mod(got.big(), m[lane])), "lane %d: %x * %x / R modulo %x is not %x", lane, a[lane], b[lane], m[lane], got.big())
		bound := new(big.Int).Add(m[lane], exact.Rsh(exact, digits*digitBits))
		require.LessOrEqual(t, got.big().Cmp(bound), 0, "lane %d is above m + ab/R", lane)
	}
}

func randomBelow(t testing.TB, limit *big.Int) *big.Int {
	t.Helper()
	n, err := rand.Int(rand.Reader, limit)
	require.NoError(t, err)
	return n
}

func randomModulus(t testing.TB) *big.Int {
	t.Helper()
	m := randomBelow(t, twoTo(1024))
	return m.SetBit(m, 1023, 1).SetBit(m, 0, 1)
}

func TestProducts(t *testing.T) {
	for range amount(300, 100_000) {
		var o operands
		for lane := range 8 {
			o.m[lane] = randomModulus(t)
			o.a[lane], o.b[lane] = randomBelow(t, doubled(o.m[lane])), randomBelow(t, doubled(o.m[lane]))
		}
		requireProducts(t, o)
	}
}

// Digits of all ones and of zero, and what lies at borders, in every mix.
func TestProductsAtTheEdges(t *testing.T) {
	for _, m := range []*big.Int{less(twoTo(1024), 1), new(big.Int).Add(twoTo(1023), big.NewInt(1)), randomModulus(t), less(twoTo(1024), 1<<51-1), big.NewInt(3)} {
		edges := []*big.Int{
			big.NewInt(0), big.NewInt(1), big.NewInt(digitMask), twoTo(digitBits), less(m, 1), m, new(big.Int).Add(m, big.NewInt(1)),
			less(doubled(m), 1), new(big.Int).Mod(radix, m), new(big.Int).Rsh(m, 1),
		}
		for _, a := range edges {
			for first := 0; first < len(edges); first += 8 {
				var o operands
				for lane := range 8 {
					o.a[lane], o.b[lane], o.m[lane] = a, edges[(first+lane)%len(edges)], m
				}
				requireProducts(t, o)
			}
		}
	}
}

// What is not reduced yet is any number below R, and a sum of two is below 4m. A
// product takes the first with a reduced one, in any place; a square the second.
func TestProductsOfWhatIsNotReduced(t *testing.T) {
	for _, m := range []*big.Int{less(twoTo(1024), 1), new(big.Int).Add(twoTo(1023), big.NewInt(1)), randomModulus(t)} {
		large := []*big.Int{less(radix, 1), new(big.Int).Sub(radix, twoTo(digitBits)), less(twoTo(1008), 1)}
		small := []*big.Int{big.NewInt(0), big.NewInt(1), less(doubled(m), 1), less(new(big.Int).Lsh(m, 2), 1)}
		for _, b := range large {
			var o operands
			for lane := range 8 {
				o.a[lane], o.b[lane], o.m[lane] = small[lane%len(small)], b, m
			}
			requireProducts(t, o)
		}
	}
}

// Lanes do not touch each other.
func TestLanesAreAlone(t *testing.T) {
	var o operands
	for lane := range 8 {
		o.m[lane], o.a[lane], o.b[lane] = big.NewInt(3), big.NewInt(0), big.NewInt(0)
	}
	for lane := range 8 {
		alone := o
		alone.m[lane] = less(twoTo(1024), 1)
		alone.a[lane], alone.b[lane] = less(doubled(alone.m[lane]), 1), less(doubled(alone.m[lane]), 1)
		requireProducts(t, alone)
	}
}

func TestPick(t *testing.T) {
	var table [32]lanes
	for entry := range table {
		for j := range digits {
			for lane := range 8 {
				table[entry][j][lane] = uint64(entry*1000 + j*10 + lane)
			}
		}
	}
	for first := range uint64(32) {
		var wanted [8]uint64
		for lane := range wanted {
			wanted[lane] = (first + 5*uint64(lane)) % 32
		}
		var out lanes
		pick(&out, &table, &wanted)
		for j := range digits {
			for lane := range 8 {
				require.Equal(t, table[wanted[lane]][j][lane], out[j][lane])
			}
		}
	}
}

// numbersOf reads eight triples of numbers below 2m, of moduli of any odd value.
func numbersOf(data []byte) (o operands) {
	take := func(size int) *big.Int {
		part := make([]byte, size)
		data = data[copy(part, data):]
		return new(big.Int).SetBytes(part)
	}
	for lane := range 8 {
		m := take(primeBytes)
		if m.SetBit(m, 0, 1).BitLen() < 2 {
			m.SetInt64(3)
		}
		o.m[lane] = m
		o.a[lane], o.b[lane] = new(big.Int).Mod(take(primeBytes+1), doubled(m)), new(big.Int).Mod(take(primeBytes+1), doubled(m))
	}
	return o
}

func FuzzProducts(f *testing.F) {
	seed := make([]byte, 8*(3*primeBytes+2))
	f.Add(seed)
	for i := range seed {
		seed[i] = 0xff
	}
	f.Add(seed)
	_, err := rand.Read(seed)
	require.NoError(f, err)
	f.Add(seed)
	f.Fuzz(func(t *testing.T, data []byte) { requireProducts(t, numbersOf(data)) })
}

func FuzzPick(f *testing.F) {
	f.Add(uint64(0), []byte("table"))
	f.Fuzz(func(t *testing.T, chosen uint64, data []byte) {
		table, out := new([32]lanes), lanes{}
		for i := 0; i+8 <= len(data) && i/8 < 32*digits*8; i += 8 {
			table[i/8%32][i/256%digits][i/(256*digits)] = binary.BigEndian.Uint64(data[i:])
		}
		var wanted [8]uint64
		for lane := range wanted {
			wanted[lane] = chosen >> (5 * lane) & 31
		}
		pick(&out, table, &wanted)
		for j := range digits {
			for lane := range 8 {
				require.Equal(t, table[wanted[lane]][j][lane], out[j][lane])
			}
		}
	})
}
