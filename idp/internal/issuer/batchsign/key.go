package batchsign

import (
	"crypto/rsa"
	"errors"
	"math/big"
)

const (
	exponent     = 65537
	windowBits   = 5
	windowCount  = 205 // 1,025 bits: more than an exponent's 1,024
	lanesOfPrime = 4
)

// windows are an exponent of p and one of q, the highest window first.
type windows [windowCount][8]uint64

// constants holds no pointer and is a multiple of 64 bytes, so that the allocator
// puts it on a cache line's border.
type constants struct {
	m       lanes     // p or q
	r2, r3  lanes     // R^2 and R^3 modulo m
	one     lanes     // R modulo m
	unit    lanes     // 1
	qInv    lanes     // 1/q times R modulo p; in the lanes of q what is of no use
	inverse [8]uint64 // -1/m modulo 2^52
}

// Key is a private key as the kernels take it.
type Key struct {
	c *constants
	d *windows // dP and dQ
	f *windows // p-2 and q-2: the power that inverts (Fermat)
	p number
	q number
}

var errKey = errors.New("batchsign: not a key of 2048 bits of two primes of 1024 bits and exponent 65537")

// NewKey prepares a valid key.
func NewKey(private *rsa.PrivateKey) (*Key, error) {
	if private.N.BitLen() != 8*keyBytes || private.E != exponent || len(private.Primes) != 2 {
		return nil, errKey
	}
	pre := &private.Precomputed
	k := &Key{c: new(constants)}
	var fermat [2][primeBytes]byte
	for i, prime := range private.Primes {
		if prime.BitLen() != 8*primeBytes {
			return nil, errKey
		}
		fermat[i] = bytesOf(prime)
		fermat[i][primeBytes-1] -= 2 // of an odd number nothing is borrowed but for 1
	}
	p, q := bytesOf(private.Primes[0]), bytesOf(private.Primes[1])
	k.p, k.q = numberOf(&p), numberOf(&q)
	dp, dq := bytesOf(pre.Dp), bytesOf(pre.Dq)
	k.d, k.f = windowsOf(&dp, &dq), windowsOf(&fermat[0], &fermat[1])
	k.fill(bytesOf(pre.Qinv))
	clear(p[:])
	clear(q[:])
	clear(dp[:])
	clear(dq[:])
	clear(fermat[:])
	return k, nil
}

// bytesOf reads a number that crypto/rsa keeps; math/big computes nothing here.
func bytesOf(n *big.Int) (b [primeBytes]byte) {
	n.FillBytes(b[:])
	return b
}

func windowsOf(p, q *[primeBytes]byte) *windows {
	w := new(windows)
	for i := range w {
		first := windowBits * (windowCount - 1 - i)
		ofP, ofQ := bitsAt(p[:], first)&(1<<windowBits-1), bitsAt(q[:], first)&(1<<windowBits-1)
		for lane := range lanesOfPrime {
			w[i][lane], w[i][lane+lanesOfPrime] = ofP, ofQ
		}
	}
	return w
}

func (k *Key) fill(qInv [primeBytes]byte) {
	c := k.c
	inverse := numberOf(&qInv)
	for i, m := range []*number{&k.p, &k.q} {
		square := number{1}
		for range 2 * digits * digitBits {
			square.double(m)
		}
		for lane := lanesOfPrime * i; lane < lanesOfPrime*(i+1); lane++ {
			c.m.set(lane, m)
			c.r2.set(lane, &square)
			c.unit.set(lane, &number{1})
			c.qInv.set(lane, &inverse)
			c.inverse[lane] = negativeInverse(m[0])
		}
	}
	multiply(&c.one, &c.r2, &c.unit, &c.m, &c.inverse)
	multiply(&c.r3, &c.r2, &c.r2, &c.m, &c.inverse)
	multiply(&c.qInv, &c.qInv, &c.r2, &c.m, &c.inverse)
	clear(qInv[:])
}
