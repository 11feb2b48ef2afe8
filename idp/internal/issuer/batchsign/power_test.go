package batchsign

import (
	"crypto/rsa"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"
)

// requirePowers holds RSASP1 (RFC 8017 section 5.2.1) of any four representatives
// to math/big. What is signed is never one of the edges; the arithmetic must not know.
func requirePowers(t *testing.T, private *rsa.PrivateKey, key *Key, s *pass, of [4]*big.Int) {
	t.Helper()
	key.refresh(s)
	for i, n := range of {
		n.FillBytes(s.encoded[:])
		s.split(i, &s.encoded)
	}
	key.c.reduce(s, &s.message)
	key.raise(s)
	var out [4]signature
	key.combine(s, &out)
	for i, n := range of {
		want := new(big.Int).Exp(n, private.D, private.N)
		require.Zero(t, want.Cmp(new(big.Int).SetBytes(out[i][:])), "%x", n)
	}
	s.wipe()
}

// Zero, one, the primes, the modulus, what is beside them, and numbers of all ones.
func TestPowersAtTheEdges(t *testing.T) {
	for _, private := range shapes(t) {
		key, err := NewKey(private)
		require.NoError(t, err)
		p, q, n := private.Primes[0], private.Primes[1], private.N
		edges := []*big.Int{
			big.NewInt(0), big.NewInt(1), big.NewInt(2), less(p, 1), p, less(p, -1), less(q, 1), q, less(q, -1),
			less(doubled(p), 1), less(doubled(q), 1), less(n, 1), n, less(n, -1), new(big.Int).Rsh(n, 1),
			less(twoTo(1040), 1), twoTo(1040), less(twoTo(1024), 1), less(twoTo(2048), 1), twoTo(2047),
		}
		s := new(pass)
		for i := range edges {
			requirePowers(t, private, key, s, [4]*big.Int{edges[i], edges[(i+1)%len(edges)], edges[(i+7)%len(edges)], big.NewInt(0)})
		}
	}
}

func FuzzPowers(f *testing.F) {
	private := known(f)
	key, err := NewKey(private)
	require.NoError(f, err)
	f.Add([]byte{})
	f.Add(private.N.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		var of [4]*big.Int
		for i := range of {
			part := make([]byte, keyBytes)
			data = data[copy(part, data):]
			of[i] = new(big.Int).SetBytes(part)
		}
		requirePowers(t, private, key, new(pass), of)
	})
}
