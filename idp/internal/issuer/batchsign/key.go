package batchsign

import (
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"
	"sync/atomic"
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

// Key is a private key as the kernels take it. Nothing writes it once it is made.
type Key struct {
	c     *constants
	check *constants // made apart: a fault in what signs is none in what checks
	d     *windows   // dP and dQ
	f     *windows   // p-2 and q-2: the power that inverts (Fermat)
	p, q  number
	n     wide
	gone  atomic.Bool // wiped
}

var errKey = errors.New("batchsign: not a key of 2048 bits of two primes of 1024 bits and exponent 65537")

// numerals are a key as it is read, and what its constants are made of. They lie on
// the heap, where they can be wiped.
type numerals struct {
	p, q, dp, dq, qInv [primeBytes]byte
	n                  [keyBytes]byte
	inverse, square    number
}

// NewKey prepares a key that crypto/rsa finds valid.
func NewKey(private *rsa.PrivateKey) (*Key, error) {
	if err := private.Validate(); err != nil {
		return nil, fmt.Errorf("batchsign: %w", err)
	}
	pre := &private.Precomputed
	if private.N.BitLen() != 8*keyBytes || private.E != exponent || len(private.Primes) != 2 || pre.Dp == nil {
		return nil, errKey
	}
	s := new(numerals)
	defer func() { *s = numerals{} }()
	for n, to := range map[*big.Int]*[primeBytes]byte{
		private.Primes[0]: &s.p, private.Primes[1]: &s.q, pre.Dp: &s.dp, pre.Dq: &s.dq, pre.Qinv: &s.qInv,
	} {
		if n.BitLen() > 8*primeBytes {
			return nil, errKey
		}
		n.FillBytes(to[:]) // math/big does no more than this
	}
	k := &Key{c: new(constants), check: new(constants)}
	k.p.read(&s.p)
	k.q.read(&s.q)
	k.n.read((*[keyBytes]byte)(private.N.FillBytes(s.n[:])))
	k.d = windowsOf(&s.dp, &s.dq)
	k.fill(k.c, s)
	k.fill(k.check, s)
	lessTwo(&s.p)
	lessTwo(&s.q)
	k.f = windowsOf(&s.p, &s.q)
	return k, nil
}

// lessTwo subtracts 2: what ends with the byte 1 borrows.
func lessTwo(b *[primeBytes]byte) {
	borrow := uint16(2)
	for i := primeBytes - 1; i >= 0; i-- {
		v := uint16(b[i]) - borrow
		b[i], borrow = byte(v), v>>15
	}
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

func (k *Key) fill(c *constants, s *numerals) {
	s.inverse.read(&s.qInv)
	for i, m := range []*number{&k.p, &k.q} {
		s.square = number{1}
		for range 2 * digits * digitBits {
			s.square.double(m)
		}
		for lane := lanesOfPrime * i; lane < lanesOfPrime*(i+1); lane++ {
			c.m.set(lane, m)
			c.r2.set(lane, &s.square)
			c.unit[0][lane] = 1
			c.qInv.set(lane, &s.inverse)
			c.inverse[lane] = negativeInverse(m[0])
		}
	}
	c.multiply(&c.one, &c.r2, &c.unit)
	c.multiply(&c.r3, &c.r2, &c.r2)
	c.multiply(&c.qInv, &c.qInv, &c.r2)
}

func (c *constants) multiply(out, a, b *lanes) { multiply(out, a, b, &c.m, &c.inverse) }

func (c *constants) square(s *pass, out, a *lanes) { square(out, a, &c.m, &c.inverse, &s.product) }

// wipe leaves nothing of the key.
func (k *Key) wipe() {
	*k.c, *k.check, *k.d, *k.f = constants{}, constants{}, windows{}, windows{}
	k.p, k.q = number{}, number{}
	k.gone.Store(true)
}
