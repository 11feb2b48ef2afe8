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
	table           [1 << windowBits]lanes
	product         [2]lanes
	message, power  lanes
	low, high, spot lanes
	blind, unblind  lanes // r^e and 1/r, both times R
	blinded         int   // passes that this blinding may serve still
	whole           wide
	encoded         signature
}

// blindings is how many passes a random factor serves, squared after each.
const blindings = 1 << 10

var errFault = errors.New("batchsign: a signature did not stand its check")

// sign makes four signatures, or none. On error out is zero.
func (k *Key) sign(s *pass, digests *[4]digest, out *[4]signature) error {
	defer s.wipe()
	if err := k.refresh(s); err != nil {
		return err
	}
	k.encode(s, digests)
	k.raise(s)
	k.combine(s, out)
	if !k.proves(s, digests, out) {
		clear(out[:])
		return errFault
	}
	return nil
}

// wipe leaves the blinding, which the next pass needs.
func (s *pass) wipe() {
	clear(s.table[:])
	s.message, s.power, s.low, s.high, s.spot = lanes{}, lanes{}, lanes{}, lanes{}, lanes{}
	s.whole = wide{}
}

func (k *Key) multiply(out, a, b *lanes) { multiply(out, a, b, &k.c.m, &k.c.inverse) }

func (k *Key) square(s *pass, out, a *lanes) { square(out, a, &k.c.m, &k.c.inverse, &s.product) }

// refresh sees that the blinding is one that was not used: the square of the last,
// or a new one. A random factor is as good as Montgomery's form of another.
func (k *Key) refresh(s *pass) error {
	if s.blinded > 0 {
		s.blinded--
		k.square(s, &s.blind, &s.blind)
		k.square(s, &s.unblind, &s.unblind)
		return nil
	}
	for lane := range 8 {
		var random [primeBytes]byte
		if _, err := rand.Read(random[:]); err != nil {
			return err
		}
		factor := numberOf(&random)
		s.low.set(lane, &factor)
	}
	k.public(s, &s.blind, &s.low)
	k.exponentiate(s, &s.unblind, &s.low, k.f)
	s.blinded = blindings - 1
	return nil
}

// public sets out to the e-th power of a, both times R.
func (k *Key) public(s *pass, out, a *lanes) {
	*out = *a
	for range 16 {
		k.square(s, out, out)
	}
	k.multiply(out, out, a)
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
func (k *Key) encode(s *pass, digests *[4]digest) {
	s.encoded = prefix
	for i := range digests {
		copy(s.encoded[keyBytes-sha256.Size:], digests[i][:])
		s.split(i, wideOf(&s.encoded))
	}
	k.reduce(s, &s.message)
}

// split puts the halves of a number into message i's lanes of low and high.
func (s *pass) split(i int, n wide) {
	for j := range digits {
		s.low[j][i], s.low[j][i+lanesOfPrime] = n[j], n[j]
		s.high[j][i], s.high[j][i+lanesOfPrime] = n[j+digits], n[j+digits]
	}
}

// reduce sets out to (low + high*R) times R modulo p and q: low*R^2/R + high*R^3/R.
func (k *Key) reduce(s *pass, out *lanes) {
	k.multiply(&s.low, &s.low, &k.c.r2)
	k.multiply(&s.high, &s.high, &k.c.r3)
	for lane := range 8 {
		var carry uint64
		for j := range digits {
			sum := s.low[j][lane] + s.high[j][lane] + carry
			out[j][lane], carry = sum&digitMask, sum>>digitBits
		}
	}
}

// raise sets power to the d-th power of the message, modulo p and modulo q.
func (k *Key) raise(s *pass) {
	k.multiply(&s.power, &s.message, &s.blind)
	k.exponentiate(s, &s.power, &s.power, k.d)
	k.multiply(&s.power, &s.power, &s.unblind)
	k.multiply(&s.power, &s.power, &k.c.unit)
}

// exponentiate raises a to the windows' exponents, both times R.
func (k *Key) exponentiate(s *pass, out, a *lanes, w *windows) {
	s.table[0], s.table[1] = k.c.one, *a
	for i := 2; i < len(s.table); i += 2 {
		k.square(s, &s.table[i], &s.table[i/2])
		k.multiply(&s.table[i+1], &s.table[i], a)
	}
	pick(out, &s.table, &w[0])
	for i := 1; i < windowCount; i++ {
		for range windowBits {
			k.square(s, out, out)
		}
		pick(&s.spot, &s.table, &w[i])
		k.multiply(out, out, &s.spot)
	}
}

// combine makes each signature of its halves (Garner): sq + q*((sp - sq)/q modulo p).
func (k *Key) combine(s *pass, out *[4]signature) {
	var ofQ [4]number
	s.low = lanes{}
	for i := range out {
		ofQ[i] = s.power.get(i + lanesOfPrime)
		ofQ[i].correct(&k.q)
		var borrow int64
		for j := range digits { // sp + 2p - sq, as q is less than 2p
			v := int64(s.power[j][i]) + 2*int64(k.p[j]) - int64(ofQ[i][j]) + borrow
			s.low[j][i], borrow = uint64(v)&digitMask, v>>digitBits
		}
	}
	k.multiply(&s.high, &s.low, &k.c.qInv)
	for i := range out {
		h := s.high.get(i)
		h.correct(&k.p)
		linear(&s.whole, &ofQ[i], &h, &k.q)
		s.whole.put(&out[i])
	}
	clear(ofQ[:])
}

// proves compares the e-th powers of the signatures with the messages, both made
// anew from the bytes: the same modulo p and modulo q is the same modulo n.
func (k *Key) proves(s *pass, digests *[4]digest, out *[4]signature) bool {
	k.encode(s, digests)
	for i := range out {
		s.split(i, wideOf(&out[i]))
	}
	k.reduce(s, &s.power)
	k.public(s, &s.spot, &s.power)
	k.multiply(&s.low, &s.spot, &k.c.unit)
	k.multiply(&s.high, &s.message, &k.c.unit)
	var different uint64
	for j := range digits {
		for lane := range 8 {
			different |= s.low[j][lane] ^ s.high[j][lane]
		}
	}
	return different == 0
}
