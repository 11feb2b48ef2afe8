package token

import "math/big"

// The odd primes below 168: they divide the primorial that the flawed
// generator of CVE-2017-15361 used for every key size.
var rocaPrimes = []uint64{
	3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71,
	73, 79, 83, 89, 97, 101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
}

// roca reports whether n has that generator's fingerprint: modulo each of the
// primes it is a power of 65537. About one good modulus in 2^27 has it by chance.
func roca(n *big.Int) bool {
	for _, prime := range rocaPrimes {
		residue := new(big.Int).Mod(n, new(big.Int).SetUint64(prime)).Uint64()
		if !powerOf65537(residue, prime) {
			return false
		}
	}
	return true
}

func powerOf65537(residue, prime uint64) bool {
	power := uint64(1)
	for range prime {
		if power == residue {
			return true
		}
		power = power * (Exponent % prime) % prime
	}
	return false
}
