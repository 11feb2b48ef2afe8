package batchsign

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
)

// digest and signature are what goes into a pass and comes out.
type (
	digest    = [sha256.Size]byte
	signature = [keyBytes]byte
)

// pass is the memory of four signatures at a time, and of its own blinding. It
// holds no pointer, and what the kernels read lies on a cache line's border.
type pass struct {
	blind, unblind lanes // r^e and 1/r, both times R
	scratch
	blinded int // passes that this blinding may serve still
}

// scratch is what a pass is wiped of.
type scratch struct {
	table           [1 << windowBits]lanes
	product         [2]lanes
	message, power  lanes
	low, high, spot lanes
	ofQ             [4]number // halves of the signatures
	quotient        number
	whole           wide
	random          [primeBytes]byte
	encoded         signature
}

// blindings is how many passes a random factor serves, squared after each.
const blindings = 1 << 7

var errFault = errors.New("batchsign: a signature did not stand its check")

// sign makes four signatures, or none. On error out is zero.
func (k *Key) sign(s *pass, digests *[4]digest, out *[4]signature) error {
	defer s.wipe()
	k.refresh(s)
	k.c.encode(s, digests)
	k.raise(s)
	k.combine(s, out)
	return k.release(s, digests, out)
}

// wipe leaves the blinding, which the next pass needs.
func (s *pass) wipe() { s.scratch = scratch{} }

// refresh sees that the blinding is one that was not used: the square of the last,
// or a new one. A random factor is as good as Montgomery's form of another. It is
// the system's randomness, never a caller's.
func (k *Key) refresh(s *pass) {
	if s.blinded > 0 {
		s.blinded--
		k.c.square(s, &s.blind, &s.blind)
		k.c.square(s, &s.unblind, &s.unblind)
		return
	}
	for lane := range 8 {
		_, _ = rand.Read(s.random[:]) // never an error: it would end the program
		s.quotient.read(&s.random)
		s.low.set(lane, &s.quotient)
	}
	k.c.public(s, &s.blind, &s.low)
	k.exponentiate(s, &s.unblind, &s.low, k.f)
	s.blinded = blindings - 1
}

// public sets out to the e-th power of a, both times R.
func (c *constants) public(s *pass, out, a *lanes) {
	*out = *a
	for range 16 {
		c.square(s, out, out)
	}
	c.multiply(out, out, a)
}

// prefix is what EMSA-PKCS1-v1_5 puts before a digest of SHA-256 (RFC 8017 section 9.2).
var prefix = func() (em signature) {
	info := []byte{0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20}
	em[1] = 1
	start := len(em) - sha256.Size - len(info)
	for i := 2; i < start-1; i++ {
		em[i] = 0xff
	}
	copy(em[start:], info)
	return em
}()

// encode sets the message to the encoded digests, modulo p and modulo q, times R.
func (c *constants) encode(s *pass, digests *[4]digest) {
	s.encoded = prefix
	for i := range digests {
		copy(s.encoded[keyBytes-sha256.Size:], digests[i][:])
		s.split(i, &s.encoded)
	}
	c.reduce(s, &s.message)
}

// split puts the halves of a number into message i's lanes of low and high.
func (s *pass) split(i int, b *signature) {
	s.whole.read(b)
	for j := range digits {
		s.low[j][i], s.low[j][i+lanesOfPrime] = s.whole[j], s.whole[j]
		s.high[j][i], s.high[j][i+lanesOfPrime] = s.whole[j+digits], s.whole[j+digits]
	}
}

// reduce sets out to (low + high*R) times R modulo p and q: low*R^2/R + high*R^3/R.
// The first is below 2m, the second below 1.01m: the sum is below 4m.
func (c *constants) reduce(s *pass, out *lanes) {
	c.multiply(&s.low, &s.low, &c.r2)
	c.multiply(&s.high, &s.high, &c.r3)
	for lane := range 8 {
		var carry uint64
		for j := range digits {
			sum := s.low[j][lane] + s.high[j][lane] + carry
			out[j][lane], carry = sum&digitMask, sum>>digitBits
		}
	}
}

// raise sets power to the d-th power of the message, modulo p and modulo q: not
// above them, as the last factor is 1.
func (k *Key) raise(s *pass) {
	k.c.multiply(&s.power, &s.message, &s.blind)
	k.exponentiate(s, &s.power, &s.power, k.d)
	k.c.multiply(&s.power, &s.power, &s.unblind)
	k.c.multiply(&s.power, &s.power, &k.c.unit)
}

// exponentiate raises a to the windows' exponents, both times R.
func (k *Key) exponentiate(s *pass, out, a *lanes, w *windows) {
	k.c.tabulate(s, a)
	pick(out, &s.table, &w[0])
	k.c.climb(s, out, w[1:])
}

// tabulate sets the table to the powers of a from 0 to 31.
func (c *constants) tabulate(s *pass, a *lanes) {
	s.table[0], s.table[1] = c.one, *a
	for i := 2; i < len(s.table); i += 2 {
		c.square(s, &s.table[i], &s.table[i/2])
		c.multiply(&s.table[i+1], &s.table[i], a)
	}
}

// climb takes out to the 32nd power and one of the table, for each window.
func (c *constants) climb(s *pass, out *lanes, w [][8]uint64) {
	for i := range w {
		for range windowBits {
			c.square(s, out, out)
		}
		pick(&s.spot, &s.table, &w[i])
		c.multiply(out, out, &s.spot)
	}
}

// combine makes each signature of its halves (Garner): sq + q*((sp - sq)/q modulo p).
func (k *Key) combine(s *pass, out *[4]signature) {
	s.low = lanes{}
	for i := range out {
		ofQ := &s.ofQ[i]
		s.power.get(i+lanesOfPrime, ofQ)
		ofQ.correct(&k.q)
		var borrow int64
		for j := range digits { // sp + 2p - sq, as q is less than 2p
			v := int64(s.power[j][i]) + 2*int64(k.p[j]) - int64(ofQ[j]) + borrow
			s.low[j][i], borrow = uint64(v)&digitMask, v>>digitBits
		}
	}
	k.c.multiply(&s.high, &s.low, &k.c.qInv)
	for i := range out {
		s.high.get(i, &s.quotient)
		s.quotient.correct(&k.p)
		linear(&s.whole, &s.ofQ[i], &s.quotient, &k.q)
		s.whole.put(&out[i])
	}
}

// release lets the signatures out, if each stands its check.
func (k *Key) release(s *pass, digests *[4]digest, out *[4]signature) error {
	if k.different(s, digests, out) != 0 {
		clear(out[:])
		return errFault
	}
	return nil
}

// different compares the e-th powers of the signatures with the messages, both made
// anew from the bytes: the same modulo p and modulo q is the same modulo n, of which
// a signature is the least residue. It is zero if all are the same.
func (k *Key) different(s *pass, digests *[4]digest, out *[4]signature) (some uint64) {
	c := k.check
	c.encode(s, digests)
	for i := range out {
		s.split(i, &out[i])
		some |= ^s.whole.below(&k.n)
	}
	c.reduce(s, &s.power)
	c.public(s, &s.spot, &s.power)
	c.multiply(&s.low, &s.spot, &c.unit)
	c.multiply(&s.high, &s.message, &c.unit)
	for lane := range 8 {
		var message uint64
		for j := range digits {
			some |= s.low[j][lane] ^ s.high[j][lane]
			message |= s.high[j][lane]
		}
		some |= (message - 1) &^ message >> 63 // nothing to compare with: no message is zero
	}
	return some
}
