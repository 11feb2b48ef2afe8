//go:build leak

package batchsign

import (
	"math/big"
	mathrand "math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// inputs are operands of a kernel, in two classes.
type inputs struct {
	of [2][pool]pair
	pair
}

type pair struct{ a, b lanes }

// kernelTrial measures work on operands that are fixed in the first class, and
// random in the second.
func kernelTrial(t *testing.T, m *lanes, fixed *big.Int, work func(in *inputs)) trial {
	t.Helper()
	in := new(inputs)
	for i := range pool {
		for lane := range 8 {
			var modulus number
			m.get(lane, &modulus)
			limit := doubled(modulus.big())
			for class, pair := range [2][2]*big.Int{{fixed, fixed}, {randomBelow(t, limit), randomBelow(t, limit)}} {
				a, b := numberFrom(pair[0]), numberFrom(pair[1])
				in.of[class][i].a.set(lane, &a)
				in.of[class][i].b.set(lane, &b)
			}
		}
	}
	return trial{samples: 1_000_000, set: func(class, i int) { choose(&in.pair, &in.of[0][i], &in.of[1][i], class) }, work: func() { work(in) }}
}

func TestLeakOfProducts(t *testing.T) {
	key, err := NewKey(known(t))
	require.NoError(t, err)
	var out lanes
	var product [2]lanes
	for name, fixed := range map[string]*big.Int{"zero": big.NewInt(0), "one": big.NewInt(1), "all ones": less(twoTo(1023), 1)} {
		t.Run("multiply, "+name, func(t *testing.T) {
			requireSilent(t, kernelTrial(t, &key.c.m, fixed, func(in *inputs) { key.c.multiply(&out, &in.a, &in.b) }))
		})
		t.Run("square, "+name, func(t *testing.T) {
			requireSilent(t, kernelTrial(t, &key.c.m, fixed, func(in *inputs) { square(&out, &in.a, &key.c.m, &key.c.inverse, &product) }))
		})
		t.Run("correct, "+name, func(t *testing.T) {
			var n number
			requireSilent(t, kernelTrial(t, &key.c.m, fixed, func(in *inputs) {
				for lane := range 8 {
					in.a.get(lane, &n)
					n.correct(&key.p)
				}
			}))
		})
	}
}

// pickTrial looks up fixed or random entries.
func pickTrial(fixed uint64, work func(wanted *[8]uint64)) trial {
	var of [2][pool][8]uint64
	for i := range pool {
		for lane := range 8 {
			of[0][i][lane], of[1][i][lane] = fixed, mathrand.Uint64N(32)
		}
	}
	wanted := new([8]uint64)
	return trial{samples: 1_000_000, set: func(class, i int) { choose(wanted, &of[0][i], &of[1][i], class) }, work: func() { work(wanted) }}
}

func TestLeakOfPick(t *testing.T) {
	table, out := new([32]lanes), new(lanes)
	for _, fixed := range []uint64{0, 31} {
		requireSilent(t, pickTrial(fixed, func(wanted *[8]uint64) { pick(out, table, wanted) }))
	}
}

// A look-up that stops at the entry, or goes straight to it.
func TestLeakIsHeardInALookUp(t *testing.T) {
	table, out := new([32]lanes), new(lanes)
	requireHeard(t, pickTrial(0, func(wanted *[8]uint64) {
		for lane, at := range wanted {
			for entry := range table {
				if uint64(entry) == at {
					for j := range digits {
						out[j][lane] = table[entry][j][lane]
					}
					break
				}
			}
		}
	}))
}

// prepared is a key's constants, with a blinding.
type prepared struct {
	c, check       constants
	d, f           windows
	p, q           number
	n              wide
	blind, unblind lanes
}

func prepare(t *testing.T, k *Key) *prepared {
	t.Helper()
	s := new(pass)
	k.refresh(s)
	return &prepared{*k.c, *k.check, *k.d, *k.f, k.p, k.q, k.n, s.blind, s.unblind}
}

// take puts a key in another's place.
func (p *prepared) take(k *Key, s *pass) {
	*k.c, *k.check, *k.d, *k.f, k.p, k.q, k.n = p.c, p.check, p.d, p.f, p.p, p.q, p.n
	s.blind, s.unblind, s.blinded = p.blind, p.unblind, 100
}

// signTrial signs with one special key or some of many.
func signTrial(t *testing.T, special *Key, sign func(*Key, *pass, *[4]digest, *[4]signature) error) trial {
	t.Helper()
	var of [2][pool / 4]*prepared
	for i := range of[0] {
		random, err := NewKey(newKey(t))
		require.NoError(t, err)
		of[0][i], of[1][i] = prepare(t, special), prepare(t, random)
	}
	place, err := NewKey(known(t))
	require.NoError(t, err)
	s, digests, out, chosen := new(pass), randomDigests(t), new([4]signature), new(prepared)
	return trial{
		samples: 6_000,
		set: func(class, i int) {
			choose(chosen, of[0][i%len(of[0])], of[1][i%len(of[0])], class)
			chosen.take(place, s)
		},
		work: func() {
			if sign(place, s, &digests, out) != nil {
				panic("a fault")
			}
		},
	}
}

func TestLeakOfKeys(t *testing.T) {
	for name, private := range shapes(t) {
		t.Run(name, func(t *testing.T) {
			special, err := NewKey(private)
			require.NoError(t, err)
			requireSilent(t, signTrial(t, special, (*Key).sign))
		})
	}
}

// An exponentiation that leaves out the products by 1.
func TestLeakIsHeardInAnExponent(t *testing.T) {
	special, err := NewKey(keyOf(t, sparse(t, 7), sparse(t, 6)))
	require.NoError(t, err)
	requireHeard(t, signTrial(t, special, func(k *Key, s *pass, digests *[4]digest, out *[4]signature) error {
		k.refresh(s)
		k.c.encode(s, digests)
		k.c.multiply(&s.power, &s.message, &s.blind)
		k.c.tabulate(s, &s.power)
		pick(&s.power, &s.table, &k.d[0])
		for i := 1; i < windowCount; i++ {
			for range windowBits {
				k.c.square(s, &s.power, &s.power)
			}
			if k.d[i] != [8]uint64{} {
				pick(&s.spot, &s.table, &k.d[i])
				k.c.multiply(&s.power, &s.power, &s.spot)
			}
		}
		k.c.multiply(&s.power, &s.power, &s.unblind)
		k.c.multiply(&s.power, &s.power, &k.c.unit)
		k.combine(s, out)
		return k.release(s, digests, out)
	}))
}

func TestLeakOfDigests(t *testing.T) {
	key, err := NewKey(known(t))
	require.NoError(t, err)
	var of [2][pool][4]digest
	for i := range pool {
		of[1][i] = randomDigests(t)
	}
	s, digests, out := new(pass), new([4]digest), new([4]signature)
	key.refresh(s)
	requireSilent(t, trial{
		samples: 20_000,
		set: func(class, i int) {
			choose(digests, &of[0][i], &of[1][i], class)
			s.blinded = 100
		},
		work: func() {
			if key.sign(s, digests, out) != nil {
				panic("a fault")
			}
		},
	})
}
