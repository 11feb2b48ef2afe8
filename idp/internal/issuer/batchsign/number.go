package batchsign

import (
	"encoding/binary"
	"math/bits"
)

const (
	digits     = 20 // of a number below R = 2^1040
	digitBits  = 52
	digitMask  = 1<<digitBits - 1
	primeBytes = 128
	keyBytes   = 2 * primeBytes
)

// lanes are eight numbers, digit by digit.
type lanes [digits][8]uint64

// number is one of them, as loops over its digits take it.
type number [digits]uint64

// wide is a number below 2^2080.
type wide [2 * digits]uint64

// set puts n into a lane.
func (e *lanes) set(lane int, n *number) {
	for j := range n {
		e[j][lane] = n[j]
	}
}

func (e *lanes) get(lane int) (n number) {
	for j := range n {
		n[j] = e[j][lane]
	}
	return n
}

// numberOf reads big-endian bytes.
func numberOf(b *[primeBytes]byte) (n number) {
	for j := range n {
		n[j] = bitsAt(b[:], digitBits*j)
	}
	return n
}

// wideOf reads big-endian bytes.
func wideOf(b *[keyBytes]byte) (n wide) {
	for j := range n {
		n[j] = bitsAt(b[:], digitBits*j)
	}
	return n
}

// bitsAt are the 52 bits of big-endian bytes from the bit of value 2^first on.
func bitsAt(b []byte, first int) uint64 {
	var window [8]byte // big-endian, its last byte holds the first bit
	end := len(b) - first/8
	copy(window[max(0, 8-end):], b[max(0, end-8):max(0, end)])
	return binary.BigEndian.Uint64(window[:]) >> uint(first%8) & digitMask
}

// put writes the number, which is below 2^2048, as big-endian bytes.
func (n *wide) put(b *[keyBytes]byte) {
	var held uint64 // bits that are not written yet, fewer than 8 between digits
	count, at := 0, keyBytes-1
	for _, digit := range n {
		overflow, low := bits.Mul64(digit, 1<<uint(count))
		held |= low
		for count += digitBits; count >= 8 && at >= 0; count -= 8 {
			b[at] = byte(held)
			held, overflow = held>>8|overflow<<56, overflow>>8
			at--
		}
	}
}

// correct subtracts m, if n is not below it.
func (n *number) correct(m *number) {
	var less number
	var borrow int64
	for j := range n {
		v := int64(n[j]) - int64(m[j]) + borrow
		less[j], borrow = uint64(v)&digitMask, v>>digitBits
	}
	below := uint64(borrow) // all ones, or zero
	for j := range n {
		n[j] = n[j]&below | less[j]&^below
	}
}

// double sets n, below m, to 2n modulo m.
func (n *number) double(m *number) {
	var carry uint64
	for j := range n {
		v := n[j]<<1 | carry
		n[j], carry = v&digitMask, v>>digitBits
	}
	n.correct(m)
}

// negativeInverse is -1/x modulo 2^52, of an odd x: each step doubles the bits
// that are right, of which x itself has three.
func negativeInverse(x uint64) uint64 {
	inverse := x
	for range 5 {
		inverse *= 2 - x*inverse
	}
	return -inverse & digitMask
}

// linear sets out to low + a*b, which is below 2^2080.
func linear(out *wide, low, a, b *number) {
	var high, sum, carry uint64
	for column := range out {
		if column < digits {
			sum, carry = bits.Add64(sum, low[column], 0)
			high += carry
		}
		for j := max(0, column-digits+1); j <= min(column, digits-1); j++ {
			top, bottom := bits.Mul64(a[j], b[column-j])
			sum, carry = bits.Add64(sum, bottom, 0)
			high += top + carry
		}
		out[column] = sum & digitMask
		sum, high = sum>>digitBits|high<<(64-digitBits), high>>digitBits
	}
}
